#include "sched/placement/by_trial.hpp"

namespace hv::sched::placement {

namespace {

struct Sums {
    Offer offer;
    std::uint64_t vcpus{0};
};

// Strictly better, so that ties keep the earlier set. (Xen compares by the sign of a truncated difference, which is
// wrong beyond 2 TiB, and sums in 32 bits, which wrap at 4 TiB. We do neither.)
bool is_better(Rule rule, Sums const& a, Sums const& b)
{
    switch (rule) {
    case Rule::xen_4_3:
        return a.vcpus != b.vcpus ? a.vcpus < b.vcpus : a.offer.free_kib > b.offer.free_kib;
    case Rule::packed:
        return a.offer.free_kib < b.offer.free_kib;
    case Rule::spread:
        return a.offer.free_kib > b.offer.free_kib;
    case Rule::greedy:
    case Rule::none:
    case Rule::numavisor:
        break;
    }
    return false;
}

// The subsets of one size in lexicographic order, each with its sums. A step changes the rightmost position that can
// grow and those behind it, so its sums cost two additions on average.
class Subsets {
public:
    Subsets(Problem const& problem, unsigned size) : problem_{problem}, size_{size}
    {
        for (NodeId const node : problem.candidates())
            nodes_[count_++] = node;
        fill(0, 0);
    }

    [[nodiscard]] Sums const& sums() const { return sums_[size_]; }
    [[nodiscard]] NodeMask set() const
    {
        NodeMask set;
        for (unsigned i = 0; i < size_; ++i)
            set.set(nodes_[chosen_[i]]);
        return set;
    }

    // False: that was the last.
    [[nodiscard]] bool advance()
    {
        for (unsigned at = size_; at-- > 0;) {
            if (chosen_[at] == count_ - size_ + at)
                continue;
            fill(at, chosen_[at] + 1u);
            return true;
        }
        return false;
    }

private:
    void fill(unsigned from, unsigned first)
    {
        for (unsigned at = from; at < size_; ++at, ++first) {
            chosen_[at] = static_cast<std::uint8_t>(first);
            NodeId const node{nodes_[first]};
            sums_[at + 1] = {sums_[at].offer + problem_.offer(node),
                             sums_[at].vcpus + problem_.snapshot().of(node).vcpus};
        }
    }

    Problem const& problem_;
    unsigned size_, count_{0};
    std::array<NodeId, max_nodes_to_try> nodes_{};
    std::array<std::uint8_t, max_nodes_to_try> chosen_{};
    std::array<Sums, max_nodes_to_try + 1> sums_{}; // of the first so many
};

std::optional<NodeMask> best_of_size(Rule rule, Problem const& problem, unsigned size)
{
    Subsets subsets{problem, size};
    std::optional<NodeMask> best;
    Sums best_sums;
    do {
        if (!problem.suffices(subsets.sums().offer))
            continue;
        if (best && !is_better(rule, subsets.sums(), best_sums))
            continue;
        best = subsets.set();
        best_sums = subsets.sums();
    } while (subsets.advance());
    return best;
}

// How many pCPUs each node has, if that is one number. (Xen: leading nodes without a pCPU are skipped by the test,
// later ones are not; so are we. It saves work and decides nothing, since smaller sets lack pCPUs anyway.)
std::uint64_t pcpus_per_node(Snapshot const& snapshot)
{
    std::uint64_t uniform{0};
    for (NodeState const& node : snapshot.nodes) {
        if (uniform == 0)
            uniform = node.pcpus;
        else if (node.pcpus != uniform)
            return 0;
    }
    return uniform;
}

} // namespace

NodeMask best_by_trial(Rule rule, Problem const& problem)
{
    std::uint64_t const per_node{pcpus_per_node(problem.snapshot())};
    std::uint64_t const wanted{problem.request().vcpus};
    unsigned const most{problem.candidate_count()};
    std::uint64_t const fewest{per_node == 0 ? 1 : (wanted + per_node - 1) / per_node};
    for (unsigned size = static_cast<unsigned>(fewest < most ? fewest : most); size <= most; ++size)
        if (auto const best = best_of_size(rule, problem, size))
            return *best;
    return problem.candidates(); // Not reached: all candidates together suffice.
}

} // namespace hv::sched::placement
