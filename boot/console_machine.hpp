// What the console's commands ask of the booted machine (boot/console/machine.hpp), answered by the kernel. Everything
// is called by the console's task, on pCPU 0, with interrupts on. Floor: boot.
#pragma once

#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/percpu.hpp"
#include "boot/console/executor.hpp"
#include "boot/console/trace_text.hpp"
#include "boot/kernel.hpp"
#include "boot/vm_life.hpp"
#include "boot/vm_tasks.hpp"

namespace hv::boot {

class KernelMachine final : public console::Machine {
public:
    explicit KernelMachine(VmMachine& vms) : vms_{vms} {}

    // What `top` shows until somebody presses a key; nothing: it does not.
    [[nodiscard]] std::optional<console::Top> const& shown() const { return shown_; }
    void stop_showing() { shown_.reset(); }

    [[nodiscard]] sched::System& system() override { return *vms_.system; }
    [[nodiscard]] CpuId self() const override { return arch::this_cpu(); }
    [[nodiscard]] Instant now() const override { return arch::clock_now(); }
    [[nodiscard]] bool interrupts_off() override
    {
        bool const were_on{!arch::irqs_are_off()};
        arch::irqs_disable();
        return were_on;
    }
    void interrupts_restore(bool were_on) override
    {
        if (were_on)
            arch::irqs_enable();
    }

    [[nodiscard]] std::string_view name_of(sched::Domain const& domain) const override
    {
        Vm const* const vm{find_vm(vms_, domain.id)};
        return vm == nullptr ? std::string_view{"?"} : vm->name();
    }
    [[nodiscard]] std::uint64_t pages_of(sched::Domain const& domain, NodeId node) const override
    {
        Vm const* const vm{find_vm(vms_, domain.id)};
        return vm == nullptr ? 0 : vm->account.pages_on(node);
    }
    [[nodiscard]] console::VmCondition condition_of(sched::Domain const& domain) const override;
    [[nodiscard]] Result<DomainId, console::VmRefusal> create(console::VmRequest const& request) override;
    [[nodiscard]] Status<console::VmRefusal> destroy(DomainId id) override
    {
        auto const gone = destroy_vm(vms_, id);
        if (!gone)
            return fail(console::VmRefusal{text_of(gone.error())});
        return done;
    }
    [[nodiscard]] console::NodeMemory memory_of(NodeId node) const override;
    [[nodiscard]] std::optional<NodeId> node_of(PhysAddr address) const override
    {
        return kernel().pages->node_map().node_of(address);
    }
    [[nodiscard]] console::MachineFacts facts() const override;
    void show_registers(console::Reply& reply) override;
    void show_clocks(console::Reply& reply) override;
    [[nodiscard]] std::span<char> scratch() override { return scratch_; }
    void show_log(console::Reply& reply) override;
    [[nodiscard]] std::span<console::RingReader> ring_readers() override { return readers_; }
    void keep_showing(console::Top const& top) override { shown_ = top; }
    void quit() override
    {
        arch::irqs_disable();
        vms_.at_quit(vms_, arch::clock_now());
    }

private:
    VmMachine& vms_;
    std::optional<console::Top> shown_;
    std::array<console::RingReader, arch::max_pcpus> readers_{};
    std::array<char, 32'768> scratch_{};
};

} // namespace hv::boot
