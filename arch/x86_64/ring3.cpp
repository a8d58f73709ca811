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
// Whether the way back is that of an interrupt: to anywhere.
bool handle_system_call(hv::arch::TrapFrame* frame) noexcept;
}

namespace hv::arch {
namespace {

constexpr std::uint64_t flags_at_entry = 0x202; // interrupts on
// What SYSCALL clears: whatever ring 3 could set to confuse the kernel (TF, IF, DF, IOPL, NT, AC).
constexpr std::uint64_t flags_cleared = 0x47700;
// What ring 3 may have changed itself: CF, PF, AF, ZF, SF, TF, DF, OF, NT, AC, ID.
constexpr std::uint64_t flags_of_ring3 = 0x244dd5;

// Where vectors.S leaves it: right above every frame from ring 3.
struct Run {
    Ring3Handlers const* handlers;
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
                          Ring3Handlers const& handlers) noexcept
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
    Run run{&handlers, &outcome};
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

void ring3_make_safe(TrapFrame& frame) noexcept
{
    HV_ASSERT(frame.rip < ring3_limit);
    frame.cs = user_code_selector;
    frame.ss = user_data_selector;
    frame.rflags = (frame.rflags & flags_of_ring3) | flags_at_entry;
}

void handle_ring3_exception(TrapFrame& frame) noexcept
{
    Ring3Handlers const& handlers{*run_of(frame).handlers};
    if (handlers.fault == nullptr || !handlers.fault(handlers.self, frame, read_cr2()))
        leave(frame, Ring3End::exception);
    ring3_make_safe(frame);
}

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

bool handle_system_call(hv::arch::TrapFrame* frame) noexcept
{
    using namespace hv::arch;
    Ring3Handlers const& handlers{*run_of(*frame).handlers};
    Ring3Next const next{handlers.hypercall(handlers.self, *frame)};
    if (next == Ring3Next::ends) [[unlikely]]
        leave(*frame, Ring3End::hypercall);
    if (next == Ring3Next::goes_elsewhere) [[unlikely]]
        ring3_make_safe(*frame);
    reschedule_if_asked();
    return next == Ring3Next::goes_elsewhere;
}
