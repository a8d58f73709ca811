#include "sched/placement/fewest.hpp"

namespace hv::sched::placement {

namespace {

// Progress towards the request in thousandths; memory is below 2^53 KiB, so the product fits.
std::uint64_t progress(std::uint64_t have, std::uint64_t want) { return have >= want ? 1000 : have * 1000 / want; }

std::uint64_t slower_progress(Problem const& problem, Offer const& offer)
{
    return std::min(progress(offer.free_kib, problem.request().need_kib),
                    progress(offer.room, problem.request().vcpus));
}

// Takes the node that brings the slower of both requirements further, until there is enough.
NodeMask greedy_set(Problem const& problem)
{
    NodeMask set;
    Offer offer;
    while (!problem.suffices(offer)) {
        std::optional<NodeId> best;
        std::uint64_t best_progress{0};
        for (NodeId const node : problem.candidates() - set)
            if (auto const then = slower_progress(problem, offer + problem.offer(node));
                !best || then > best_progress) {
                best = node;
                best_progress = then;
            }
        set.set(*best); // All candidates together suffice, so there is one.
        offer = offer + problem.offer(*best);
    }
    return set;
}

class Fronts {
public:
    Fronts(Problem const& problem, Workspace& workspace, unsigned largest)
        : problem_{problem}, fronts_{workspace.fronts}, largest_{largest},
          room_{problem.candidate_count() <= max_nodes_to_try ? max_front : max_front / 4}
    {
        for (unsigned size = 0; size <= largest_; ++size)
            fronts_[size].count = 0;
        insert(fronts_[0], {});
    }

    void add_node(NodeId node)
    {
        for (unsigned size = largest_; size-- > 0;)
            for (unsigned i = 0; i < fronts_[size].count; ++i) {
                Front::Point point{fronts_[size].points[i]};
                point.offer = point.offer + problem_.offer(node);
                // More than enough is worth no more than enough.
                point.offer.free_kib = std::min<std::uint64_t>(point.offer.free_kib, problem_.request().need_kib);
                point.offer.room = std::min<std::uint64_t>(point.offer.room, problem_.request().vcpus);
                point.set.set(node);
                insert(fronts_[size + 1], point);
            }
    }

    [[nodiscard]] std::optional<NodeMask> smallest() const
    {
        for (unsigned size = 1; size <= largest_; ++size)
            for (unsigned i = 0; i < fronts_[size].count; ++i)
                if (problem_.suffices(fronts_[size].points[i].offer))
                    return fronts_[size].points[i].set;
        return std::nullopt;
    }

private:
    static bool is_covered(Offer const& a, Offer const& by) { return a.free_kib <= by.free_kib && a.room <= by.room; }

    void insert(Front& front, Front::Point const& point)
    {
        for (unsigned i = 0; i < front.count; ++i)
            if (is_covered(point.offer, front.points[i].offer))
                return;
        unsigned kept{0};
        for (unsigned i = 0; i < front.count; ++i)
            if (!is_covered(front.points[i].offer, point.offer))
                front.points[kept++] = front.points[i];
        front.count = kept;
        if (front.count < room_)
            front.points[front.count++] = point;
        else
            replace_worst(front, point);
    }

    void replace_worst(Front& front, Front::Point const& point)
    {
        unsigned worst{0};
        for (unsigned i = 1; i < front.count; ++i)
            if (progress_of(front.points[i]) < progress_of(front.points[worst]))
                worst = i;
        if (progress_of(point) > progress_of(front.points[worst]))
            front.points[worst] = point;
    }
    [[nodiscard]] std::uint64_t progress_of(Front::Point const& point) const
    {
        return slower_progress(problem_, point.offer);
    }

    Problem const& problem_;
    std::array<Front, NodeMask::capacity + 1>& fronts_;
    unsigned largest_, room_;
};

} // namespace

NodeMask fewest_nodes(Problem const& problem, Workspace& workspace)
{
    NodeMask const greedy{greedy_set(problem)};
    if (greedy.count() == problem.fewest_thinkable())
        return greedy;
    Fronts fronts{problem, workspace, greedy.count() - 1};
    for (NodeId const node : problem.candidates())
        fronts.add_node(node);
    return fronts.smallest().value_or(greedy);
}

} // namespace hv::sched::placement
