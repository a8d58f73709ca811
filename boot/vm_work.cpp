#include "boot/vm_work.hpp"

#include "arch/x86_64/console.hpp"

namespace hv::boot {

void use_real_memory(sched::System& system, VmAccounts accounts)
{
    if (system.guests().pacer() == nullptr)
        return;
    std::size_t const nodes{system.core().pool().topology().node_count()};
    auto account = accounts.begin();
    for (sched::Domain const& domain : system.core().domains()) {
        std::array<std::uint64_t, NodeMask::capacity> pages{};
        std::uint64_t total{0};
        for (std::size_t n = 0; n < nodes; ++n)
            total += pages[n] = (*account)->pages_on(NodeId{static_cast<NodeId::Rep>(n)});
        if (total > 0)
            system.guests().set_memory(const_cast<sched::Domain&>(domain),
                                       sched::guest::MemoryShares::of_pages(std::span{pages}.first(nodes)));
        ++account;
    }
}

void tell_work(sched::System& system, Instant now)
{
    if (system.guests().pacer() == nullptr)
        return;
    for (sched::guest::Guest* const guest : system.guests().all()) {
        if (guest->progress == nullptr)
            continue;
        sched::guest::Tally const tally{system.guests().pacer()->tally_of(*guest->progress, now)};
        Duration const wait{guest->vcpu.run_state.spent[static_cast<std::size_t>(sched::RunState::runnable)]};
        arch::tell_host(
            "work d{}v{} work={} run={} wait={} stall={} refill={} home={} local={} remote={} core_moves={} "
            "node_moves={} phases={}",
            guest->vcpu.domain.id.value(), guest->vcpu.index.value(), tally.work.ns(), tally.run.ns(), wait.ns(),
            tally.stall.ns(), tally.refill.ns(), tally.home.ns(), guest->progress->accesses(tally.local),
            guest->progress->accesses(tally.remote), tally.core_moves, tally.node_moves, guest->phases);
    }
}

} // namespace hv::boot
