// What happens when an interrupt or exception arrives (vectors.S calls handle_trap), and the requests to reschedule
// that are served on the way out.
#include "arch/x86_64/interrupts.hpp"
#include "arch/x86_64/apic.hpp"
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/exceptions.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/panic.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/serial.hpp"
#include "arch/x86_64/timers.hpp"
#include "arch/x86_64/tlb.hpp"
#include "arch/x86_64/trap_frame.hpp"
#include "arch/x86_64/upcalls.hpp"

extern "C" void handle_trap(hv::arch::TrapFrame* frame) noexcept;

namespace hv::arch {
namespace {

constinit std::atomic<UpCalls const*> up_calls{nullptr};
constinit IdleWork const* idle_work{nullptr};

} // namespace

// release and acquire: the functions of the new table may rely on what was written before it was installed.
void install_up_calls(UpCalls const* calls) noexcept { up_calls.store(calls, std::memory_order_release); }
UpCalls const* installed_up_calls() noexcept { return up_calls.load(std::memory_order_acquire); }

void install_idle_work(IdleWork const& work) noexcept { idle_work = &work; }

void ask_to_reschedule(CpuId cpu) noexcept
{
    IrqSave const irqs; // Or the task may be elsewhere when it compares.
    Percpu& target{percpu(cpu)};
    // seq_cst: whoever made the pCPU's work visible before must have it seen by the reschedule that the flag leads to.
    bool const was_asked{target.asked_to_reschedule.exchange(true)};
    if (!was_asked && &target != &this_percpu())
        apic_send(target.apic_id, Vector::reschedule);
}

void reschedule_if_asked() noexcept
{
    HV_ASSERT_SLOW(irqs_are_off());
    // The block is looked up each time: the task may come back on another pCPU.
    while (this_percpu().asked_to_reschedule.load(std::memory_order_relaxed)) {
        // seq_cst: pairs with ask_to_reschedule(); later requests set the flag anew.
        this_percpu().asked_to_reschedule.exchange(false);
        UpCalls const* const calls{installed_up_calls()};
        if (calls != nullptr && calls->reschedule != nullptr)
            calls->reschedule(calls->self, this_cpu(), clock_now());
    }
}

void idle_once() noexcept
{
    irqs_disable();
    if (this_percpu().asked_to_reschedule.load(std::memory_order_relaxed)) {
        reschedule_if_asked();
        irqs_enable();
    } else if (idle_work != nullptr && idle_work->some(idle_work->self)) {
        irqs_enable();
        relax(); // Also ends this pCPU's turn, where pCPUs take turns.
    } else {
        enable_and_halt();
    }
}

void idle_forever() noexcept
{
    for (;;)
        idle_once();
}

void mask_legacy_interrupts() noexcept
{
    constexpr std::uint16_t first_data = 0x21, second_data = 0xA1;
    out8(first_data, 0xFF);
    out8(second_data, 0xFF);
}

namespace {

void handle_interrupt(Vector vector)
{
    switch (vector) {
    case Vector::spurious:
        return; // Not acknowledged, by specification.
    case Vector::timer:
        apic_end_of_interrupt();
        timers_interrupt();
        return;
    case Vector::reschedule:
        apic_end_of_interrupt();
        return; // The flag is all that it is about.
    case Vector::call:
        apic_end_of_interrupt();
        serve_calls();
        return;
    case Vector::shoot_down:
        apic_end_of_interrupt();
        serve_shoot_down();
        return;
    case Vector::serial:
        apic_end_of_interrupt();
        serial_interrupt();
        return;
    case Vector::apic_error:
        panic("the local APIC reports an error: an interrupt was sent to nobody or with a bad vector");
    case Vector::divide_error:
    case Vector::nmi:
    case Vector::breakpoint:
    case Vector::invalid_opcode:
    case Vector::double_fault:
    case Vector::general_protection:
    case Vector::page_fault:
    case Vector::machine_check:
        break;
    }
    panic("interrupt {} has no handler", static_cast<unsigned>(vector));
}

} // namespace
} // namespace hv::arch

void handle_trap(hv::arch::TrapFrame* frame) noexcept
{
    using namespace hv::arch;
    if (frame->vector < exception_count)
        return handle_exception(*frame);
    handle_interrupt(static_cast<Vector>(frame->vector));
    reschedule_if_asked();
}
