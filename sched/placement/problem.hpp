// A request on a snapshot, with what all searches ask of them: which nodes may be chosen, how many vCPUs each can take,
// and how much the best of them could add. Built once for each VM; refers to snapshot and request's spans. Pure, no
// locks. Floor: sched. Private to sched/placement.
#pragma once

#include "sched/placement/placement.hpp"

namespace hv::sched::placement {

// What a set of nodes offers.
struct Offer {
    std::uint64_t free_kib{0};
    std::uint64_t room{0}; // for vCPUs: pCPUs, or cores

    [[nodiscard]] constexpr Offer operator+(Offer const& more) const
    {
        return {free_kib + more.free_kib, room + more.room};
    }
};

// What a set with one node more can come to offer at most, when so many others join after that: those with most memory
// and those with most room, which need not be the same.
class Outlook {
public:
    [[nodiscard]] constexpr Offer with(NodeId node, Offer const& offer) const
    {
        return {richest_.test(node) ? more_.free_kib : base_.free_kib + offer.free_kib,
                roomiest_.test(node) ? more_.room : base_.room + offer.room};
    }

private:
    friend class Problem;
    Offer base_;                  // with those others
    Offer more_;                  // with one more than those
    NodeMask richest_, roomiest_; // those others
};

class Problem {
public:
    Problem(Snapshot const& snapshot, Request const& request, Smt smt);

    [[nodiscard]] Snapshot const& snapshot() const { return snapshot_; }
    [[nodiscard]] Request const& request() const { return request_; }
    // Allowed nodes that have a pCPU.
    [[nodiscard]] NodeMask candidates() const { return candidates_; }
    [[nodiscard]] unsigned candidate_count() const { return count_; }
    [[nodiscard]] Offer offer(NodeId node) const
    {
        NodeState const& state{snapshot_.of(node)};
        return {state.free_kib, counts_cores_ ? state.cores : state.pcpus};
    }
    [[nodiscard]] bool suffices(Offer const& offer) const
    {
        return offer.free_kib >= request_.need_kib && offer.room >= request_.vcpus;
    }
    // Why not even all candidates together suffice; nothing: they do.
    [[nodiscard]] std::optional<NotPlaced> obstacle() const;

    // What a set that is not all candidates can come to offer.
    [[nodiscard]] Outlook outlook(NodeMask set, Offer const& offer, unsigned more) const;
    // As few nodes as could suffice.
    [[nodiscard]] unsigned fewest_thinkable() const;

private:
    using Order = std::array<NodeId, NodeMask::capacity>;

    void sort_candidates();

    Snapshot snapshot_;
    Request request_;
    bool counts_cores_{false};
    NodeMask candidates_;
    unsigned count_{0};
    Offer total_;
    Order by_memory_{}, by_room_{}; // candidates, most first; ties by id
};

} // namespace hv::sched::placement
