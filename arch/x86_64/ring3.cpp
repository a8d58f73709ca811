#include "arch/x86_64/ring3.hpp"

#include "arch/generic/assert.hpp"
#include "arch/x86_64/descriptors.hpp"
#include "arch/x86_64/exceptions.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/upcalls.hpp"

#include <arch/irq.hpp>

extern "C" {
extern char system_call_entry[]; // NOLINT(readability-identifier-naming): vectors.S
void ring3_enter(hv::arch::TrapFrame const* registers, void* run);
[[noreturn]] void ring3_leave(hv::arch::TrapFrame const* frame);
void handle_system_call(hv::arch::TrapFrame* frame) noexcept;
}

namespace hv::arch {
namespace {

constexpr std::uint64_t flags_at_entry = 0x202; // interrupts on
// What SYSCALL clears: whatever ring 3 could set to confuse the kernel (TF, IF, DF, IOPL, NT, AC).
constexpr std::uint64_t flags_cleared = 0x47700;

// Where vectors.S leaves it: right above every frame from ring 3.
struct Run {
    HypercallHandler const* handler;
    Ring3Outcome* outcome;
};
Run& run_of(TrapFrame const& frame)
{
    HV_ASSERT(is_from_ring3(frame));
    Run* run;
    __builtin_memcpy(&run, &frame + 1, sizeof run);
    return *run;
}

[[noreturn]] void leave(TrapFrame const& frame, Ring3End end)
{
    *run_of(frame).outcome = {.end = end, .registers = frame, .address = read_cr2()};
    ring3_leave(&frame);
}

} // namespace

Ring3Outcome run_in_ring3(VirtAddr entry, VirtAddr stack, std::uint64_t argument,
                          HypercallHandler const& handler) noexcept
{
    // The way to an address that is none ends in a fault of ring 0's, with ring 3's GS.
    HV_ASSERT(irqs_are_off() && entry.value() < ring3_limit);
    TrapFrame registers{};
    registers.rdi = argument;
    registers.rip = entry.value();
    registers.cs = user_code_selector;
    registers.rflags = flags_at_entry;
    registers.rsp = stack.value();
    registers.ss = user_data_selector;
    Ring3Outcome outcome;
    Run run{&handler, &outcome};
    ring3_enter(&registers, &run);
    return outcome;
}

void describe(Sink& sink, Ring3Outcome const& outcome) noexcept
{
    if (outcome.end == Ring3End::hypercall)
        return print(sink, "ended by hypercall {} at {:x}", outcome.registers.rax, outcome.registers.rip);
    describe_exception(sink, outcome.registers, outcome.address);
    print(sink, " at {:x}", outcome.registers.rip);
}

void end_ring3(TrapFrame const& frame) noexcept { leave(frame, Ring3End::exception); }

void ring3_enable() noexcept
{
    // SYSRET adds 8 for the data and 16 for the code segment.
    static_assert(user_data_selector == (kernel_data_selector | 3) + 8);
    static_assert(user_code_selector == (kernel_data_selector | 3) + 16);
    static_assert(kernel_data_selector == kernel_code_selector + 8);
    write_msr(msr_star, std::uint64_t{kernel_data_selector | 3} << 48 | std::uint64_t{kernel_code_selector} << 32);
    write_msr(msr_lstar, address_of(system_call_entry));
    write_msr(msr_syscall_mask, flags_cleared);
    write_msr(msr_other_gs_base, 0);
    write_msr(msr_efer, read_msr(msr_efer) | efer_system_calls);
}

} // namespace hv::arch

void handle_system_call(hv::arch::TrapFrame* frame) noexcept
{
    using namespace hv::arch;
    HypercallHandler const& handler{*run_of(*frame).handler};
    if (!handler.handle(handler.self, *frame))
        leave(*frame, Ring3End::hypercall);
    reschedule_if_asked();
}
