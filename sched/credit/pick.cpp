// Where a vCPU goes when it has to be placed anew. Upstream: _csched_cpu_pick.
#include "sched/credit/credit.hpp"

namespace hv::sched::credit {

namespace {

// The search among idle pCPUs for the one with the most idle neighbours. Uses `candidates` up: a set of pCPUs may be
// large.
class Search {
public:
    Search(Topology const& topology, CpuMask const& idle, CpuMask& candidates, CpuId start, bool smt_power_savings)
        : topology_{topology}, idle_{idle}, candidates_{candidates}, best_{start}, packs_{smt_power_savings}
    {
        candidates_.clear(start);
    }

    // One step; false when nothing is left to compare. `bias_of(cpu)`: where the last choice near cpu ended.
    template <typename BiasOf>
    bool step(BiasOf bias_of)
    {
        if (candidates_.empty())
            return false;
        CpuId const rival{candidates_.cycle(best_)};
        bool const near{topology_.same_socket(best_, rival)};
        auto const group = [&](CpuId cpu) -> CpuMask const& {
            return near ? topology_.siblings_of(cpu) : topology_.socket_of(cpu);
        };
        // Another socket must have more than twice the idle pCPUs, or a lone vCPU would move to and fro for ever.
        unsigned const factor = near ? 1 : 2;
        unsigned const here = count_common(idle_, group(best_));
        unsigned const there = count_common(idle_, group(rival));
        CpuMask const rival_group{idle_ & group(rival)};
        if (packs_ ? here > there : here * factor < there) {
            // Candidates only: a neighbour that is idle but not allowed would be an affinity violation.
            best_ = (rival_group & candidates_).cycle(bias_of(rival));
            winner_ = rival;
            candidates_ -= topology_.siblings_of(best_);
        } else {
            candidates_ -= rival_group;
        }
        return true;
    }

    [[nodiscard]] CpuId best() const { return best_; }
    [[nodiscard]] std::optional<CpuId> winner() const { return winner_; }

private:
    Topology const& topology_;
    CpuMask const& idle_;
    CpuMask& candidates_;
    CpuId best_;
    bool packs_;
    std::optional<CpuId> winner_;
};

} // namespace

// The vCPU's run-queue lock is held. commit: it will really go there, so the next pick shall look further on.
CpuId Credit::pick(CpuId self, Vcpu& vcpu, bool commit, Instant now)
{
    CpuId const processor{vcpu.processor()};
    CreditPcpu& home{at(processor)};
    home.pcpu.lock.assert_held();
    CpuId chosen{processor};
    std::optional<CpuId> winner;
    for (BalanceStep const step : balance_steps) {
        if (step == BalanceStep::soft && !data(vcpu).useful_preference)
            continue;
        CpuMask const allowed{step_mask(vcpu, step) & pool_.members()};
        if (allowed.empty())
            continue; // Upstream asserts; a preference outside the pool is simply no help.
        chosen = allowed.test(processor) ? processor : allowed.cycle(processor);
        CpuMask idle{idlers_.snapshot() & pool_.members()};
        // Its own use of its pCPU does not count against it. Upstream does not check that it is this vCPU that runs
        // there, and so keeps a vCPU on a pCPU that runs another one with nothing queued.
        if (chosen == processor && (home.queue.empty() || home.queue.front()->vcpu.is_idle()))
            idle.set(processor);
        CpuMask candidates{allowed & idle};
        if (!candidates.test(chosen) && !candidates.empty())
            chosen = candidates.cycle(chosen); // An idle start: a busy one would tie with its own idle sibling.
        Search search{pool_.topology(), idle, candidates, chosen, params_.smt_power_savings};
        while (search.step([&](CpuId rival) { return at(rival).idle_bias.load(std::memory_order_relaxed); })) {}
        chosen = search.best();
        if (search.winner())
            winner = search.winner();
        if (idle.test(chosen))
            break;
    }
    if (commit && winner)
        at(*winner).idle_bias.store(chosen, std::memory_order_relaxed);
    pool_.tracer().emit(self, now, trace::Event::picked_cpu, vcpu.domain.id.value(), vcpu.index.value(),
                        chosen.value());
    return chosen;
}

} // namespace hv::sched::credit
