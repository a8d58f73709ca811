#include "boot/vm_life.hpp"

#include "arch/x86_64/call.hpp"
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/small_memory.hpp"
#include "boot/kernel.hpp"
#include "boot/vm_home.hpp"
#include "boot/vm_memory.hpp"
#include "boot/vm_task.hpp"
#include "mm/domain_memory.hpp"

#include <new>

namespace hv::boot {
namespace {

using sched::guest::Workload;
using sched::guest::WorkloadKind;

bool is_for_pairs(WorkloadKind kind) { return kind == WorkloadKind::pingpong || kind == WorkloadKind::fork; }

Workload workload_of(VmConfig const& config, std::uint32_t vcpu)
{
    Workload workload{config.workload};
    if (is_for_pairs(workload.kind)) {
        workload.partner = VcpuIndex{static_cast<VcpuIndex::Rep>(vcpu ^ 1u)};
        workload.has_token = vcpu % 2 == 0;
    }
    return workload;
}

Status<VmError> check(VmMachine& machine, VmConfig const& config, CpuMask const& allowed)
{
    if (allowed.empty() || (config.cpus_soft && config.cpus_soft->empty()))
        return fail(VmError::bad_affinity);
    if (config.vcpus == 0 || config.vcpus > hypercall::max_numa_vcpus)
        return fail(VmError::too_many_vcpus);
    if (is_for_pairs(config.workload.kind) && config.vcpus % 2 != 0)
        return fail(VmError::odd_vcpus);
    if (is_of_model(config.workload.kind) && machine.system->guests().pacer() == nullptr)
        return fail(VmError::no_model);
    return done;
}

// The numbers go round, so that one that has just become free is not somebody else's at once.
std::optional<DomainId> free_id(VmMachine& machine)
{
    constexpr DomainId::Rep highest = 32'000;
    for (DomainId::Rep tries = 0; tries < highest; ++tries) {
        DomainId const id{static_cast<DomainId::Rep>(machine.last_id.value() % highest + 1)};
        machine.last_id = id;
        bool is_taken{false};
        machine.system->core().for_each_domain([&](sched::Domain const& domain) { is_taken |= domain.id == id; });
        if (!is_taken)
            return id;
    }
    return std::nullopt;
}

// Makes one VM; what has been made when something fails is taken apart by the destructor.
class Maker {
public:
    Maker(VmMachine& machine, VmConfig const& config, CpuMask const& allowed)
        : machine_{machine}, core_{machine.system->core()}, config_{config}, allowed_{allowed}
    {
    }

    [[nodiscard]] Result<Vm*, VmError> make()
    {
        std::optional<DomainId> const id{free_id(machine_)};
        if (!id)
            return fail(VmError::no_id);
        home_ = find_home(machine_, config_, allowed_);
        mm::DomainAccount* const account{take_memory(*id)};
        if (account == nullptr)
            return fail(VmError::no_memory);
        Result<Vm*, VmError> const vm{make_domain(*id, *account)};
        if (!vm)
            give_memory_back(*account);
        return vm;
    }

private:
    [[nodiscard]] mm::DomainAccount* take_memory(DomainId id) const
    {
        std::uint64_t const wanted{config_.memory_mib * pages_per_mib};
        void* const memory{arch::allocate_memory(NodeId{0}, sizeof(mm::DomainAccount), alignof(mm::DomainAccount))};
        if (memory == nullptr)
            return nullptr;
        auto* const account = ::new (memory) mm::DomainAccount{id, wanted};
        if (mm::build_memory(*kernel().pages, *account,
                             {.home = home_.nodes, .pages = wanted, .spreads = home_.nodes.count() > 1}))
            return account;
        arch::release_memory(memory, sizeof(mm::DomainAccount), alignof(mm::DomainAccount));
        return nullptr;
    }
    static void give_memory_back(mm::DomainAccount& account)
    {
        mm::dismantle_memory(*kernel().pages, account);
        arch::release_memory(&account, sizeof account, alignof(mm::DomainAccount));
    }

    [[nodiscard]] Result<Vm*, VmError> make_domain(DomainId id, mm::DomainAccount& account)
    {
        auto const domain = core_.create_domain(id);
        if (!domain)
            return fail(VmError::no_memory);
        Result<Vm*, VmError> const vm{furnish(**domain, account)};
        if (!vm)
            static_cast<void>(core_.destroy(arch::this_cpu(), **domain, arch::clock_now()));
        return vm;
    }

    [[nodiscard]] Result<Vm*, VmError> furnish(sched::Domain& domain, mm::DomainAccount& account)
    {
        core_.set_params(domain, config_.params);
        if (Status<VmError> const added{add_vcpus(domain)}; !added)
            return fail(added.error());
        set_affinities(domain);
        set_shares(domain, account);
        Result<Vm*, VmError> const vm{make_vm(machine_, domain, account, config_.name, config_.program)};
        if (vm)
            for (sched::Vcpu& vcpu : domain.vcpus)
                machine_.system->guests().start_at(arch::this_cpu(), machine_.system->guests().of(vcpu),
                                                   arch::clock_now());
        return vm;
    }

    // Born on the pCPUs of its home, in turn.
    [[nodiscard]] Status<VmError> add_vcpus(sched::Domain& domain)
    {
        CpuMask at_home;
        for (CpuId const cpu : allowed_)
            if (home_.nodes.test(core_.pool().topology().node_of(cpu)))
                at_home.set(cpu);
        CpuMask const& candidates{at_home.empty() ? allowed_ : at_home};
        CpuId on{*candidates.first()};
        for (std::uint32_t i = 0; i < config_.vcpus; ++i, on = candidates.cycle(on)) {
            auto const vcpu = core_.create_vcpu(arch::this_cpu(), domain, on, arch::clock_now());
            if (!vcpu)
                return fail(VmError::no_memory);
            if (machine_.system->guests().add(**vcpu, workload_of(config_, i), machine_.seed) == nullptr)
                return fail(VmError::too_many_vcpus);
        }
        return done;
    }

    void set_affinities(sched::Domain& domain)
    {
        Instant const now{arch::clock_now()};
        for (sched::Vcpu& vcpu : domain.vcpus) {
            if (config_.cpus)
                static_cast<void>(core_.set_hard_affinity(arch::this_cpu(), vcpu, *config_.cpus, now));
            if (config_.cpus_soft)
                static_cast<void>(core_.set_soft_affinity(vcpu, *config_.cpus_soft, now));
        }
        if (home_.is_placed)
            static_cast<void>(core_.set_node_affinity(domain, home_.nodes, now));
    }

    void set_shares(sched::Domain& domain, mm::DomainAccount const& account)
    {
        if (machine_.system->guests().pacer() == nullptr || account.total() == 0)
            return;
        std::array<std::uint64_t, NodeMask::capacity> pages{};
        std::size_t const nodes{core_.pool().topology().node_count()};
        for (std::size_t n = 0; n < nodes; ++n)
            pages[n] = account.pages_on(NodeId{static_cast<NodeId::Rep>(n)});
        machine_.system->guests().set_memory(domain,
                                             sched::guest::MemoryShares::of_pages(std::span{pages}.first(nodes)));
    }

    VmMachine& machine_;
    sched::Core& core_;
    VmConfig const& config_;
    CpuMask const allowed_;
    VmHome home_;
};

// --- the end

// On each pCPU: none of its vCPUs runs any more, but its address space may be loaded still.
struct Unloading {
    VmMachine& machine;
    GuestSpace& space;
};
void unload_here(void* argument)
{
    auto const& unloading = *static_cast<Unloading*>(argument);
    unload(unloading.machine, unloading.space);
}

// Everything but the scheduler's part. From here on its pages are zeroed before anybody else gets them.
void release(Vm& vm)
{
    mm::DomainAccount& account{vm.account};
    kernel().pages->begin_destruction(account);
    vm.~Vm();
    arch::release_memory(&vm, sizeof(Vm), alignof(Vm));
    mm::dismantle_memory(*kernel().pages, account);
    arch::release_memory(&account, sizeof account, alignof(mm::DomainAccount));
}

} // namespace

Status<VmError> destroy_vm(VmMachine& machine, DomainId id)
{
    Vm* const vm{find_vm(machine, id)};
    if (vm == nullptr)
        return fail(VmError::no_such_vm);
    {
        arch::IrqSave const irqs;
        static_cast<void>(machine.system->core().destroy(arch::this_cpu(), vm->domain, arch::clock_now()));
    }
    while (vm->tasks.load() != 0)
        arch::relax();
    Unloading unloading{machine, vm->space};
    for (CpuId::Rep cpu = 0; cpu < arch::pcpu_count(); ++cpu)
        if (vm->space.space().is_loaded_on(CpuId{cpu}))
            arch::call_on(CpuId{cpu}, unload_here, &unloading);
    arch::IrqSave const irqs;
    machine.vms.erase(*vm);
    release(*vm);
    return done;
}

Result<Vm*, VmError> create_vm(VmMachine& machine, VmConfig const& config)
{
    arch::IrqSave const irqs;
    CpuMask const& members{machine.system->core().pool().members()};
    CpuMask const allowed{config.cpus ? members & *config.cpus : members};
    if (Status<VmError> const checked{check(machine, config, allowed)}; !checked)
        return fail(checked.error());
    return Maker{machine, config, allowed}.make();
}

Status<VmError> pause_vm(VmMachine& machine, DomainId id)
{
    arch::IrqSave const irqs;
    Vm* const vm{find_vm(machine, id)};
    if (vm == nullptr)
        return fail(VmError::no_such_vm);
    machine.system->core().pause(arch::this_cpu(), vm->domain, arch::clock_now());
    ++vm->pauses;
    return done;
}

Status<VmError> unpause_vm(VmMachine& machine, DomainId id)
{
    arch::IrqSave const irqs;
    Vm* const vm{find_vm(machine, id)};
    if (vm == nullptr)
        return fail(VmError::no_such_vm);
    if (vm->pauses == 0)
        return fail(VmError::not_paused);
    --vm->pauses;
    machine.system->core().unpause(arch::this_cpu(), vm->domain, arch::clock_now());
    return done;
}

} // namespace hv::boot
