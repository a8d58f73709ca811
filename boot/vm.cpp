#include "boot/vm.hpp"

#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/small_memory.hpp"
#include "boot/guest_image.hpp"
#include "boot/vm_task.hpp"
#include "guest/state.hpp"

#include <new>

namespace hv::boot {
namespace {

// Pages that are charged on top of a VM's memory: State and stack of each vCPU, and tables.
std::uint64_t own_pages(std::uint32_t vcpus)
{
    constexpr std::uint64_t upper_tables_and_code = 7, vcpus_of_a_table = 32;
    return upper_tables_and_code + vcpus / vcpus_of_a_table + std::uint64_t{vcpus} * 2;
}

NodeMask nodes_of(mm::DomainAccount const& account, sched::Domain& domain, Topology const& topology)
{
    NodeMask nodes;
    for (NodeId const node : topology.nodes())
        if (account.pages_on(node) != 0)
            nodes.set(node);
    if (nodes.empty())
        nodes.set(domain.vcpus.empty() ? NodeId{0} : topology.node_of((*domain.vcpus.begin()).processor()));
    return nodes;
}

template <typename T, typename... Args>
T* make(NodeId node, Args&&... args)
{
    void* const memory{arch::allocate_memory(node, sizeof(T), alignof(T))};
    return memory == nullptr ? nullptr : ::new (memory) T(static_cast<Args&&>(args)...);
}

// What the guest begins with. Steps of a recording lie in the kernel's memory: the guest asks for them.
guest::State first_state(sched::guest::WorkloadState const& work)
{
    guest::State state{};
    state.work = work;
    state.work.workload.steps = {};
    state.work.next_step = 0;
    return state;
}

} // namespace

Vm::Vm(sched::Domain& d, mm::DomainAccount& a, std::string_view called, NodeMask on)
    : domain{d}, account{a}, nodes{on}, space{*on.first(), &a}
{
    name_length_ = called.size() < longest_name ? called.size() : longest_name;
    for (std::size_t i = 0; i < name_length_; ++i)
        name_[i] = called[i];
}

std::string_view text_of(VmError error)
{
    switch (error) {
    case VmError::no_such_vm:
        return "there is no such VM";
    case VmError::no_memory:
        return "no memory left";
    case VmError::no_id:
        return "no domain number is free";
    case VmError::too_many_vcpus:
        return "more vCPUs than there is room for";
    case VmError::bad_affinity:
        return "the affinity leaves no pCPU that is up";
    case VmError::odd_vcpus:
        return "this workload is for pairs of vCPUs: give it an even number";
    case VmError::no_model:
        return "this workload needs a scenario with a memory cost model";
    case VmError::not_paused:
        return "the VM is not paused";
    }
    return "?";
}

namespace {

Status<VmError> add_task(VmMachine& machine, Vm& vm, sched::guest::Guest& guest, VmProgram const& program)
{
    NodeId const node{machine.system->core().pool().topology().node_of(guest.vcpu.processor())};
    std::uint64_t const base{guest::state_at(guest.vcpu.index)};
    guest::State const state{first_state(guest.work)};
    auto const first = program.code.empty() ? std::as_bytes(std::span{&state, 1}) : std::as_bytes(program.words);
    auto const stack = arch::allocate_stack(node);
    if (!stack)
        return fail(VmError::no_memory);
    auto* const task = make<VcpuTask>(node, machine, vm, guest, *stack);
    if (task == nullptr) {
        arch::release_stack(*stack);
        return fail(VmError::no_memory);
    }
    // From here on it goes with its vCPU.
    guest.vcpu.context = &task->task;
    vm.tasks.fetch_add(1);
    prepare_guest_task(*task);
    if (!vm.space.add_page(VirtAddr{base}, vm.space.node(), first, Access::read_write) ||
        !vm.space.add_page(VirtAddr{base + guest::stack_offset}, vm.space.node(), {}, Access::read_write))
        return fail(VmError::no_memory);
    return done;
}

Status<mm::MapError> load(Vm& vm, VmProgram const& program)
{
    VirtAddr const at{guest::image_at};
    return program.code.empty() ? vm.space.share(at, guest_image_pages())
                                : vm.space.add_page(at, vm.space.node(), program.code, Access::read_execute);
}

} // namespace

Result<Vm*, VmError> make_vm(VmMachine& machine, sched::Domain& domain, mm::DomainAccount& account,
                             std::string_view name, VmProgram const& program)
{
    Topology const& topology{machine.system->core().pool().topology()};
    NodeMask const nodes{nodes_of(account, domain, topology)};
    account.set_max_pages(account.total() + own_pages(domain.vcpu_count));
    Vm* const vm{make<Vm>(*nodes.first(), domain, account, name, nodes)};
    if (vm == nullptr)
        return fail(VmError::no_memory);
    bool complete{vm->space.build() && load(*vm, program)};
    for (sched::Vcpu& vcpu : domain.vcpus)
        complete = complete && add_task(machine, *vm, machine.system->guests().of(vcpu), program);
    if (!complete) {
        for (sched::Vcpu& vcpu : domain.vcpus)
            release_guest_task(vcpu);
        vm->~Vm();
        arch::release_memory(vm, sizeof(Vm), alignof(Vm));
        return fail(VmError::no_memory);
    }
    machine.vms.push_back(*vm);
    return vm;
}

Vm* find_vm(VmMachine& machine, DomainId id)
{
    for (Vm& vm : machine.vms)
        if (vm.domain.id == id)
            return &vm;
    return nullptr;
}

bool VmEnd::shut_down(VmMachine& machine, Vm& vm, std::uint64_t exit_code)
{
    vm.exit_code_.store(exit_code, std::memory_order_relaxed);
    return end(machine, vm, VmState::shut_down);
}

bool VmEnd::crash(VmMachine& machine, Vm& vm, std::uint64_t exception)
{
    vm.fault_.store(exception, std::memory_order_relaxed);
    return end(machine, vm, VmState::crashed);
}

bool VmEnd::end(VmMachine& machine, Vm& vm, VmState how)
{
    VmState expected{VmState::runs};
    if (!vm.state_.compare_exchange_strong(expected, how))
        return false;
    // vCPU by vCPU, so that nobody can unpause the domain; it cannot go while one of them is here.
    for (sched::Vcpu& vcpu : vm.domain.vcpus)
        machine.system->core().pause_nosync(arch::this_cpu(), vcpu, arch::clock_now());
    return true;
}

} // namespace hv::boot
