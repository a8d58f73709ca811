// When nobody can refer any more to a domain that is on no list, to a pool that has ended, or to what a policy keeps
// for a pCPU that has left.
//
// Every call into sched/ is made on some pCPU with interrupts off, and whoever makes it keeps no reference to a domain
// or vCPU beyond its end, except to what is current there. So a pCPU that reschedules has dropped all that it knew
// before, and once each pCPU that is up has passed that point, what was unlinked before may go. One grace period runs
// at a time; who comes meanwhile waits for the next one.
//
// Locking: the core's steering lock for everything but is_running(), which every reschedule asks; so what a pCPU did
// before it passed is done before the memory goes. Floor: sched.
#pragma once

#include "arch/generic/list.hpp"
#include "arch/generic/mask.hpp"
#include "sched/pool.hpp"
#include "sched/vcpu.hpp"

#include <atomic>
#include <cstdint>
#include <utility>

namespace hv::sched {

class Grace {
public:
    using Domains = List<Domain, AllDomainsTag>;
    using Pools = List<Pool, EndedPoolTag>;

    // The number of the period that runs; 0: none does. relaxed: a pCPU is tickled after a period has begun, and passes
    // when it sees the number, at that reschedule or at a later one.
    [[nodiscard]] std::uint32_t running() const { return running_.load(std::memory_order_relaxed); }

    // It is on no other list by now.
    void add(Domain& domain) { next_.push_back(domain); }
    void add(Pool& pool) { next_pools_.push_back(pool); }
    // It is no member of its pool any more.
    void add(CpuId cpu) { next_pcpus_.set(cpu); }
    // Begins a period if none runs and somebody waits for one. Returns whom to tickle, `up` then.
    [[nodiscard]] CpuMask begin(CpuMask const& up)
    {
        if (running() != 0 || (next_.empty() && next_pools_.empty() && next_pcpus_.empty()))
            return {};
        while (Domain* const domain = next_.pop_front())
            waiting_.push_back(*domain);
        while (Pool* const pool = next_pools_.pop_front())
            waiting_pools_.push_back(*pool);
        waiting_pcpus_ = std::exchange(next_pcpus_, {});
        last_ += last_ == ~0u ? 2 : 1; // never 0
        to_pass_ = up;
        running_.store(last_, std::memory_order_relaxed);
        return up;
    }
    // `cpu` keeps no reference from before. If it was the last one, the period is over.
    void pass(CpuId cpu)
    {
        to_pass_.clear(cpu);
        if (!to_pass_.empty())
            return;
        while (Domain* const domain = waiting_.pop_front())
            over_.push_back(*domain);
        while (Pool* const pool = waiting_pools_.pop_front())
            over_pools_.push_back(*pool);
        over_pcpus_ |= std::exchange(waiting_pcpus_, {});
        running_.store(0, std::memory_order_relaxed);
    }
    // One whose time has come; it is on no list afterwards. nullptr: none.
    [[nodiscard]] Domain* take() { return over_.pop_front(); }
    [[nodiscard]] Pool* take_pool() { return over_pools_.pop_front(); }
    [[nodiscard]] CpuMask take_pcpus() { return std::exchange(over_pcpus_, {}); }

    [[nodiscard]] bool knows(DomainId id) const
    {
        for (Domains const* const list : {&next_, &waiting_, &over_})
            for (Domain const& domain : *list)
                if (domain.id == id)
                    return true;
        return false;
    }

private:
    std::atomic<std::uint32_t> running_{0};
    std::uint32_t last_{0};
    CpuMask to_pass_;
    CpuMask next_pcpus_, waiting_pcpus_, over_pcpus_;
    Pools next_pools_, waiting_pools_, over_pools_;
    Domains next_, waiting_, over_; // wait for the next period; for the one that runs; for nothing
};

} // namespace hv::sched
