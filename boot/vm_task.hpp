// A vCPU as a task of the kernel: its stack, what of it is in the processor while it runs, and the machine's side of
// its hypercalls and faults.
//
// Locking: none; a task is touched by the pCPU that runs it, and the scheduler never lets two run it. Interrupts off.
// Floor: boot.
#pragma once

#include "arch/x86_64/context.hpp"
#include "arch/x86_64/ring3.hpp"
#include "arch/x86_64/ring3_state.hpp"
#include "arch/x86_64/stacks.hpp"
#include "boot/hypercall/handler.hpp"
#include "boot/vm.hpp"
#include "boot/vm_tasks.hpp"

namespace hv::boot {

// A guest's way into ring 3 and what comes back from there.
class VcpuTask;

// What Vcpu::context points to. Each pCPU's idle vCPU has one, too: what the pCPU started with.
struct Task {
    VmMachine& machine;
    VcpuTask* vcpu{nullptr}; // of a VM
    // Of an idle task: the address space that its pCPU has loaded; null: the kernel's own.
    GuestSpace* loaded{nullptr};
    arch::Context context{};
    // Who ran before, until its context is known to be saved: set by whoever switches to this task.
    sched::Vcpu* came_from{nullptr};
};

// Has the calling pCPU go back to the kernel's own address space if it has this one loaded.
void unload(VmMachine& machine, GuestSpace& space);

[[nodiscard]] inline Task& task_of(sched::Vcpu& vcpu) { return *static_cast<Task*>(vcpu.context); }

// Loading an address space makes a processor forget all that it has translated. So a vCPU has its own loaded, and its
// registers with it, only when it goes on in ring 3: not while it computes or waits, which it does in the kernel.
class VcpuTask final : private hypercall::Caller {
public:
    VcpuTask(VmMachine& machine, Vm& vm, sched::guest::Guest& guest, arch::Stack stack)
        : task{.machine = machine, .vcpu = this}, vm_{vm}, guest_{guest}, stack_{stack}
    {
    }

    // Its program, from the beginning to its end, on the task's own stack.
    [[nodiscard]] arch::Ring3Outcome run_in_ring3();

    [[nodiscard]] Vm& vm() const { return vm_; }
    [[nodiscard]] sched::guest::Guest& guest() const { return guest_; }
    [[nodiscard]] arch::Stack stack() const { return stack_; }

    // Around a switch of tasks: what of ring 3 is in the processor is kept, or put there if this vCPU goes on there.
    void leave_processor();
    void enter_processor();

    Task task;

private:
    struct FaultHandler {
        std::uint64_t entry{0}, stack{0}; // entry 0: there is none
    };

    [[nodiscard]] arch::Ring3Next answer(arch::TrapFrame& frame) noexcept;
    [[nodiscard]] bool deliver_fault(arch::TrapFrame& frame, std::uint64_t address) noexcept;
    void take_processor();
    [[nodiscard]] sched::System& system() const { return *task.machine.system; }
    [[nodiscard]] sched::Vcpu* sibling(VcpuIndex vcpu) const;

    std::byte* find(std::uint64_t address, bool write) noexcept override;
    hypercall::Limits limits() noexcept override;
    Instant now() noexcept override;
    Instant perform(sched::guest::Action const& action) noexcept override;
    bool take_event() noexcept override;
    Instant yield() noexcept override;
    Status<hypercall::Error> set_timer(Instant when) noexcept override;
    Status<hypercall::Error> write_console(std::string_view text) noexcept override;
    Status<hypercall::Error> set_vcpu_up(VcpuIndex vcpu, bool up) noexcept override;
    hypercall::RunStateRecord run_state(VcpuIndex vcpu) noexcept override;
    bool is_local(std::byte const* page) noexcept override;
    std::uint32_t nodes() noexcept override;
    std::uint64_t pages_on(std::uint32_t node) noexcept override;
    std::uint8_t distance(std::uint32_t from, std::uint32_t to) noexcept override;
    std::uint8_t node_of(VcpuIndex vcpu) noexcept override;
    std::span<sched::guest::Step const> steps(std::uint64_t most) noexcept override;
    void take_steps(std::uint64_t count) noexcept override;
    void set_segment_base(hypercall::Segment segment, std::uint64_t base) noexcept override;
    void set_fault_handler(std::uint64_t entry, std::uint64_t stack) noexcept override;
    bool return_from_fault(std::uint64_t address) noexcept override;

    Vm& vm_;
    sched::guest::Guest& guest_;
    arch::Stack const stack_;
    arch::Ring3State registers_;      // while they are not in the processor
    bool has_processor_{false};       // they are, and its address space is loaded
    bool goes_to_ring3_{true};        // when it runs on; else it waits in perform()
    arch::TrapFrame* frame_{nullptr}; // of the hypercall under way
    FaultHandler handler_;
    bool handles_fault_{false};
    arch::TrapFrame interrupted_{}; // while it does
};

} // namespace hv::boot
