#include "arch/x86_64/exceptions.hpp"

#include "arch/generic/format.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/machine_check.hpp"
#include "arch/x86_64/panic.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/ring3.hpp"
#include "arch/x86_64/stacks.hpp"
#include "arch/x86_64/watchdog.hpp"

#include <array>
#include <string_view>

extern "C" {
bool run_expecting_fault(hv::arch::ExpectedFault* expected, void (*function)(void*), void* argument);
extern char fault_recovery[]; // NOLINT(readability-identifier-naming)
}

namespace hv::arch {
namespace {

constexpr std::array<std::string_view, 22> names{"divide error",
                                                 "debug",
                                                 "NMI",
                                                 "breakpoint",
                                                 "overflow",
                                                 "bound range",
                                                 "invalid opcode",
                                                 "no FPU",
                                                 "double fault",
                                                 "coprocessor overrun",
                                                 "invalid TSS",
                                                 "segment not present",
                                                 "stack fault",
                                                 "general protection",
                                                 "page fault",
                                                 "reserved",
                                                 "x87 error",
                                                 "alignment check",
                                                 "machine check",
                                                 "SIMD error",
                                                 "virtualization",
                                                 "control protection"};

void describe_page_fault(Sink& sink, TrapFrame const& frame, std::uint64_t address)
{
    print(sink, " ({} {} {:x}, {})", (frame.error_code & 4) != 0 ? "user" : "kernel",
          (frame.error_code & 16) != 0  ? "executes"
          : (frame.error_code & 2) != 0 ? "writes"
                                        : "reads",
          address, (frame.error_code & 1) != 0 ? "which its page forbids" : "which is not mapped");
}

// No pCPU of ours sent it: a button, a management controller, or memory and buses that complain.
void describe_nmi(Sink& sink)
{
    constexpr std::uint16_t system_control_port = 0x61;
    std::uint8_t const status{in8(system_control_port)};
    print(sink, "{}: ",
          (status & 0x80) != 0   ? "memory or a bus reports an error"
          : (status & 0x40) != 0 ? "a device reports an error"
                                 : "somebody asked from outside");
}

[[noreturn]] void report(TrapFrame const& frame)
{
    Sink& sink{panic_begin()};
    if (frame.vector == static_cast<std::uint64_t>(Vector::machine_check))
        describe_machine_check(sink);
    if (frame.vector == static_cast<std::uint64_t>(Vector::nmi))
        describe_nmi(sink);
    if (is_stack_guard(read_cr2()) && (frame.vector == 8 || frame.vector == 14))
        print(sink, "stack overflow: ");
    describe_exception(sink, frame, read_cr2());
    panic_end(&frame);
}

// NMI, double fault and machine check are not about what ring 3 did, and not on its task's stack.
bool is_machines_own(TrapFrame const& frame)
{
    return frame.vector == static_cast<std::uint64_t>(Vector::nmi) ||
           frame.vector == static_cast<std::uint64_t>(Vector::double_fault) ||
           frame.vector == static_cast<std::uint64_t>(Vector::machine_check);
}

} // namespace

void describe_exception(Sink& sink, TrapFrame const& frame, std::uint64_t address) noexcept
{
    print(sink, "exception {} {}, error code {:x}", frame.vector,
          frame.vector < names.size() ? names[frame.vector] : std::string_view{"unknown"}, frame.error_code);
    if (frame.vector == static_cast<std::uint64_t>(Vector::page_fault))
        describe_page_fault(sink, frame, address);
}

FaultOutcome expect_fault(Vector vector, void (*function)(void*), void* argument) noexcept
{
    IrqSave const irqs; // Stay on this pCPU, whose block holds the expectation.
    ExpectedFault expected{.vector = vector};
    this_percpu().expected_fault = &expected;
    bool const faulted = run_expecting_fault(&expected, function, argument);
    this_percpu().expected_fault = nullptr;
    return {.faulted = faulted,
            .overflowed_stack = faulted && is_stack_guard(expected.address),
            .error_code = expected.error_code,
            .address = expected.address};
}

void handle_exception(TrapFrame& frame) noexcept
{
    if (frame.vector == static_cast<std::uint64_t>(Vector::nmi)) {
        panic_stop_if_under_way();
        if (watchdog_nmi(frame))
            return;
    }
    if (is_from_ring3(frame) && !is_machines_own(frame))
        return handle_ring3_exception(frame);
    ExpectedFault* const expected{this_percpu().expected_fault};
    if (expected == nullptr || static_cast<std::uint64_t>(expected->vector) != frame.vector)
        report(frame);
    expected->error_code = frame.error_code;
    expected->address = read_cr2();
    frame.rip = address_of(fault_recovery);
    frame.rsp = expected->stack_pointer;
    frame.cs = kernel_code_selector;
    frame.ss = kernel_data_selector;
}

} // namespace hv::arch
