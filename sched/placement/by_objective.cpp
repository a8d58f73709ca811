#include "sched/placement/by_objective.hpp"

#include "sched/placement/fewest.hpp"

namespace hv::sched::placement {

namespace {

constexpr unsigned looks_in_all = 40'000;
constexpr unsigned looks_to_exchange = 40'000;
constexpr unsigned max_exchanges = 4;

class Search {
public:
    Search(Problem const& problem, Workspace& workspace, NodeMask first)
        : problem_{problem}, workspace_{workspace}, size_{first.count()}
    {
        workspace_.links.fill(problem);
        // Any good set has several seeds in it where sets are large: then one node in a few is enough.
        unsigned const nodes{problem.candidate_count()};
        stride_ = std::max(1u, size_ / 4);
        unsigned const seeds{(nodes + stride_ - 1) / stride_};
        width_ = std::clamp(looks_in_all / (seeds * nodes * size_), 1u, max_beam);
        build(first);
        best_ = workspace_.trial.totals;
    }

    void grow()
    {
        unsigned index{0};
        for (NodeId const seed : problem_.candidates())
            if (index++ % stride_ == 0)
                grow_from(seed);
    }

    // Exchanges one node for another as long as that makes the best set better.
    void exchange()
    {
        unsigned const looks_a_round{size_ * size_ * problem_.candidate_count()};
        unsigned const rounds{std::clamp(looks_to_exchange / looks_a_round, 1u, max_exchanges)};
        for (unsigned round = 0; round < rounds; ++round) {
            NodeMask const before{best_.set};
            for (NodeId const leaving : before) {
                NodeMask rest{before};
                rest.clear(leaving);
                build(rest);
                for (NodeId const node : problem_.candidates() - before)
                    if (!workspace_.trial.is_wider_with(node, best_))
                        offer(workspace_.trial.with(problem_, node));
            }
            if (best_.set == before)
                return;
        }
    }

    [[nodiscard]] NodeMask best() const { return best_.set; }

private:
    void grow_from(NodeId seed)
    {
        auto* from = &workspace_.beams[0];
        auto* to = &workspace_.beams[1];
        (*from)[0].clear();
        (*from)[0].add(problem_, workspace_.links, seed);
        unsigned count{1};
        for (unsigned size = 1; size < size_ && count > 0; ++size) {
            unsigned const steps{choose_steps({from->data(), count}, size_ - size - 1)};
            for (unsigned i = 0; i < steps; ++i) {
                (*to)[i] = (*from)[workspace_.steps[i].parent];
                (*to)[i].add(problem_, workspace_.links, workspace_.steps[i].node);
            }
            std::swap(from, to);
            count = steps;
        }
        for (unsigned i = 0; i < count; ++i)
            offer((*from)[i].totals);
    }

    [[nodiscard]] bool is_better_than(Totals const& a, Totals const& b) const
    {
        return is_better(a, b, problem_.request().vcpus);
    }

    void build(NodeMask set)
    {
        workspace_.trial.clear();
        for (NodeId const node : set)
            workspace_.trial.add(problem_, workspace_.links, node);
    }

    void offer(Totals const& totals)
    {
        if (problem_.suffices(totals.offer) && is_better_than(totals, best_))
            best_ = totals;
    }

    // The `width_` best sets that are one node larger than those of the beam and can still come to suffice with
    // `more` nodes. Fills workspace_.steps, best first, and returns how many there are.
    [[nodiscard]] unsigned choose_steps(std::span<GrowingSet const> beam, unsigned more)
    {
        unsigned count{0};
        for (unsigned parent = 0; parent < beam.size(); ++parent) {
            GrowingSet const& set{beam[parent]};
            Outlook const outlook{problem_.outlook(set.totals.set, set.totals.offer, more)};
            for (NodeId const node : problem_.candidates() - set.totals.set) {
                if (count == width_ && set.is_wider_with(node, workspace_.steps[count - 1].totals))
                    continue;
                if (problem_.suffices(outlook.with(node, problem_.offer(node))))
                    count = insert_step({set.with(problem_, node), parent, node}, count);
            }
        }
        return count;
    }

    [[nodiscard]] unsigned insert_step(Step const& step, unsigned count)
    {
        auto& steps = workspace_.steps;
        if (count == width_ && !is_better_than(step.totals, steps[count - 1].totals))
            return count;
        for (unsigned i = 0; i < count; ++i)
            if (steps[i].totals.set == step.totals.set)
                return count; // The same nodes in another order.
        unsigned at{count < width_ ? count : width_ - 1};
        for (; at > 0 && is_better_than(step.totals, steps[at - 1].totals); --at)
            steps[at] = steps[at - 1];
        steps[at] = step;
        return std::min(count + 1, width_);
    }

    Problem const& problem_;
    Workspace& workspace_;
    unsigned size_;
    unsigned width_{1};  // sets that grow side by side
    unsigned stride_{1}; // from seed to seed
    Totals best_;
};

} // namespace

NodeMask best_by_objective(Problem const& problem, Workspace& workspace)
{
    NodeMask const first{fewest_nodes(problem, workspace)};
    if (first == problem.candidates())
        return first;
    Search search{problem, workspace, first};
    search.grow();
    search.exchange();
    return search.best();
}

} // namespace hv::sched::placement
