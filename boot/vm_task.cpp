#include "boot/vm_task.hpp"

#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/upcalls.hpp"
#include "guest/state.hpp"

namespace hv::boot {
namespace {

using hypercall::Error;
using sched::guest::Guest;

// Phases beyond this are nobody's: a scenario allows no longer ones.
constexpr Duration longest_phase{Duration::from_ms(1'000'000'000)};
constexpr Duration longest_model_phase{Duration::from_ms(100'000)};

NodeId nth_node(NodeMask nodes, std::uint32_t n)
{
    for (NodeId const node : nodes)
        if (n-- == 0)
            return node;
    return *nodes.first();
}

// What the calling pCPU has loaded.
GuestSpace*& loaded_here(VmMachine& machine)
{
    return task_of(*machine.system->core().pool().pcpu(arch::this_cpu()).idle).loaded;
}

} // namespace

void unload(VmMachine& machine, GuestSpace& space)
{
    GuestSpace*& loaded{loaded_here(machine)};
    if (loaded != &space)
        return;
    GuestSpace::switch_between(&space, nullptr);
    loaded = nullptr;
}

// --- into ring 3, and what comes from there

arch::Ring3Outcome VcpuTask::run_in_ring3()
{
    std::uint64_t const state{guest::state_at(guest_.vcpu.index)};
    arch::Ring3Handlers const handlers{
        .self = this,
        .hypercall = [](void* self,
                        arch::TrapFrame& frame) noexcept { return static_cast<VcpuTask*>(self)->answer(frame); },
        .fault =
            [](void* self, arch::TrapFrame& frame, std::uint64_t address) noexcept {
                return static_cast<VcpuTask*>(self)->deliver_fault(frame, address);
            }};
    return arch::run_in_ring3(VirtAddr{guest::image_at}, VirtAddr{state + guest::stack_end_offset}, state, handlers);
}

void VcpuTask::leave_processor()
{
    if (!has_processor_)
        return;
    registers_.save();
    has_processor_ = false;
}

void VcpuTask::enter_processor()
{
    if (goes_to_ring3_)
        take_processor();
}

void VcpuTask::take_processor()
{
    GuestSpace*& loaded{loaded_here(task.machine)};
    GuestSpace::switch_between(loaded, &vm_.space);
    loaded = &vm_.space;
    registers_.load();
    has_processor_ = true;
}

arch::Ring3Next VcpuTask::answer(arch::TrapFrame& frame) noexcept
{
    // Asks for nothing: what is left is the way in and out, which people measure.
    if (frame.rax == static_cast<std::uint64_t>(hypercall::Number::null)) {
        frame.rax = 0;
        return arch::Ring3Next::goes_on;
    }
    frame_ = &frame;
    hypercall::Reply const reply{
        hypercall::handle(*this, frame.rax, {frame.rdi, frame.rsi, frame.rdx, frame.r10, frame.r8, frame.r9})};
    switch (reply.then) {
    case hypercall::Then::goes_on:
        frame.rax = static_cast<std::uint64_t>(reply.value);
        return arch::Ring3Next::goes_on;
    case hypercall::Then::goes_back:
        return arch::Ring3Next::goes_elsewhere;
    case hypercall::Then::ends:
        break;
    }
    return arch::Ring3Next::ends;
}

// What happened is in the registers of arguments. A fault while one is handled ends the VM.
bool VcpuTask::deliver_fault(arch::TrapFrame& frame, std::uint64_t address) noexcept
{
    if (handler_.entry == 0 || handles_fault_)
        return false;
    handles_fault_ = true;
    interrupted_ = frame;
    frame.rdi = interrupted_.vector;
    frame.rsi = interrupted_.error_code;
    frame.rdx = address;
    frame.rcx = interrupted_.rip;
    frame.rip = handler_.entry;
    frame.rsp = handler_.stack;
    frame.rflags = 0;
    return true;
}

void VcpuTask::set_fault_handler(std::uint64_t entry, std::uint64_t stack) noexcept { handler_ = {entry, stack}; }

bool VcpuTask::return_from_fault(std::uint64_t address) noexcept
{
    std::uint64_t const to{address == 0 ? interrupted_.rip : address};
    if (!handles_fault_ || to >= arch::ring3_limit)
        return false;
    handles_fault_ = false;
    *frame_ = interrupted_;
    frame_->rip = to;
    return true;
}

void VcpuTask::set_segment_base(hypercall::Segment segment, std::uint64_t base) noexcept
{
    if (segment == hypercall::Segment::fs)
        arch::Ring3State::set_fs_base(base);
    else
        arch::Ring3State::set_gs_base(base);
}

// --- memory

std::byte* VcpuTask::find(std::uint64_t address, bool write) noexcept
{
    std::optional<Translation> const found{vm_.space.space().translate(arch::this_cpu(), VirtAddr{address})};
    if (!found || !found->protection.user || (write && found->protection.access != Access::read_write))
        return nullptr;
    return arch::direct_map<std::byte>(found->physical);
}

bool VcpuTask::is_local(std::byte const* page) noexcept
{
    PhysAddr const frame{arch::physical_of(page).value() & ~std::uint64_t{arch::page_size - 1}};
    return arch::node_of_page(frame) == arch::this_percpu().node;
}

std::uint32_t VcpuTask::nodes() noexcept { return vm_.nodes.count(); }
std::uint64_t VcpuTask::pages_on(std::uint32_t node) noexcept
{
    return vm_.account.pages_on(nth_node(vm_.nodes, node));
}

std::uint8_t VcpuTask::distance(std::uint32_t from, std::uint32_t to) noexcept
{
    return system().core().pool().topology().distance(nth_node(vm_.nodes, from), nth_node(vm_.nodes, to));
}

std::uint8_t VcpuTask::node_of(VcpuIndex vcpu) noexcept
{
    sched::Vcpu const* const who{sibling(vcpu)};
    if (who == nullptr)
        return hypercall::no_node;
    NodeId const node{system().core().pool().topology().node_of(who->processor())};
    std::uint8_t number{0};
    for (NodeId const mine : vm_.nodes) {
        if (mine == node)
            return number;
        ++number;
    }
    return hypercall::no_node;
}

// --- time, events and other vCPUs

hypercall::Limits VcpuTask::limits() noexcept
{
    return {.vcpus = vm_.domain.vcpu_count,
            .machine_vcpus = static_cast<std::uint32_t>(system().guests().all().size()),
            .is_recorded = guest_.is_recorded(),
            .longest_phase = guest_.progress != nullptr ? longest_model_phase : longest_phase};
}

Instant VcpuTask::now() noexcept { return arch::clock_now(); }

Instant VcpuTask::perform(sched::guest::Action const& action) noexcept
{
    sched::guest::Outcome const outcome{system().guests().perform(arch::this_cpu(), guest_, action, arch::clock_now())};
    // A wait asked for this; so may a notification have done. Comes back when this vCPU is to run again.
    arch::reschedule_if_asked();
    while (outcome == sched::guest::Outcome::computes && guest_.computing) {
        arch::enable_and_halt();
        arch::irqs_disable();
    }
    goes_to_ring3_ = true;
    if (!has_processor_)
        take_processor();
    return arch::clock_now();
}

bool VcpuTask::take_event() noexcept
{
    if (guest_.owed.load(std::memory_order_relaxed) == 0)
        return guest_.vcpu.clear_flag(sched::PauseFlag::event_pending);
    guest_.owed.fetch_sub(1, std::memory_order_relaxed); // Nobody else takes from it.
    return true;
}

Instant VcpuTask::yield() noexcept
{
    system().core().yield(arch::this_cpu(), guest_.vcpu, arch::clock_now());
    arch::reschedule_if_asked();
    return arch::clock_now();
}

Status<Error> VcpuTask::set_timer(Instant when) noexcept
{
    if (guest_.work.workload.kind == sched::guest::WorkloadKind::periodic)
        return fail(Error::not_permitted);
    if (when == Instant{})
        system().guests().stop_timer(guest_);
    else
        system().guests().set_timer(arch::this_cpu(), guest_, when);
    return done;
}

Status<Error> VcpuTask::write_console(std::string_view text) noexcept
{
    constexpr std::int64_t line_end = 1;
    if (!vm_.console.spend(static_cast<std::int64_t>(text.size()) + line_end, arch::clock_now()))
        return fail(Error::try_again);
    arch::say("({} v{}) {}", vm_.name(), guest_.vcpu.index, text);
    return done;
}

sched::Vcpu* VcpuTask::sibling(VcpuIndex vcpu) const
{
    for (sched::Vcpu& other : vm_.domain.vcpus)
        if (other.index == vcpu)
            return &other;
    return nullptr;
}

Status<Error> VcpuTask::set_vcpu_up(VcpuIndex vcpu, bool up) noexcept
{
    sched::Vcpu* const who{sibling(vcpu)};
    if (who == nullptr || !system().guests().of(*who).started)
        return fail(Error::try_again);
    sched::Core& core{system().core()};
    if (up) {
        if (who->has_flag(sched::PauseFlag::down))
            core.start(arch::this_cpu(), *who, false, arch::clock_now());
    } else if (!who->set_flag(sched::PauseFlag::down)) {
        core.sleep_nosync(arch::this_cpu(), *who, arch::clock_now());
    }
    arch::reschedule_if_asked();
    return done;
}

hypercall::RunStateRecord VcpuTask::run_state(VcpuIndex vcpu) noexcept
{
    sched::Vcpu const* const who{sibling(vcpu)};
    hypercall::RunStateRecord record{};
    if (who == nullptr)
        return record;
    sched::Pool& pool{system().core().pool()};
    for (bool is_done = false; !is_done;) {
        CpuId const cpu{who->processor()};
        Guard const guard{pool.pcpu(cpu).lock, irqs_off};
        is_done = who->processor() == cpu;
        sched::RunStateClock const& clock{who->run_state};
        record.state = static_cast<std::uint64_t>(clock.state);
        record.entered_ns = static_cast<std::uint64_t>(clock.entered.ns());
        for (std::size_t i = 0; i < record.spent_ns.size(); ++i)
            record.spent_ns[i] = static_cast<std::uint64_t>(clock.spent[i].ns());
    }
    return record;
}

// --- recordings: next_step is how far this one has been handed out

std::span<sched::guest::Step const> VcpuTask::steps(std::uint64_t most) noexcept
{
    auto const left = guest_.work.workload.steps.subspan(guest_.work.next_step < guest_.work.workload.steps.size()
                                                             ? guest_.work.next_step
                                                             : guest_.work.workload.steps.size());
    return left.first(left.size() < most ? left.size() : most);
}

void VcpuTask::take_steps(std::uint64_t count) noexcept { guest_.work.next_step += static_cast<std::uint32_t>(count); }

} // namespace hv::boot
