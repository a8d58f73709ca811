#include "sched/placement/problem.hpp"

namespace hv::sched::placement {

namespace {

// Stable, most first.
template <std::size_t N, typename Key>
void sort_by(std::array<NodeId, N>& order, unsigned count, Key key)
{
    for (unsigned i = 1; i < count; ++i) {
        NodeId const moving{order[i]};
        unsigned at{i};
        for (; at > 0 && key(order[at - 1]) < key(moving); --at)
            order[at] = order[at - 1];
        order[at] = moving;
    }
}

} // namespace

Problem::Problem(Snapshot const& snapshot, Request const& request, Smt smt) : snapshot_{snapshot}, request_{request}
{
    std::uint64_t cores{0};
    for (unsigned i = 0; i < snapshot.nodes.size(); ++i) {
        NodeId const node{static_cast<NodeId::Rep>(i)};
        if (snapshot.of(node).pcpus == 0 || !request.allowed.test(node))
            continue;
        candidates_.set(node);
        cores += snapshot.of(node).cores;
    }
    // A VM with more vCPUs than there are cores shares cores in any case.
    counts_cores_ = smt == Smt::cores && cores >= request.vcpus;
    for (NodeId const node : candidates_)
        total_ = total_ + offer(node);
    sort_candidates();
}

void Problem::sort_candidates()
{
    for (NodeId const node : candidates_) {
        by_memory_[count_] = node;
        by_room_[count_++] = node;
    }
    sort_by(by_memory_, count_, [this](NodeId node) { return offer(node).free_kib; });
    sort_by(by_room_, count_, [this](NodeId node) { return offer(node).room; });
}

std::optional<NotPlaced> Problem::obstacle() const
{
    if (candidates_.empty())
        return NotPlaced{Reason::no_pcpus, request_.vcpus, 0};
    if (total_.room < request_.vcpus)
        return NotPlaced{Reason::too_few_pcpus, request_.vcpus, total_.room};
    if (total_.free_kib < request_.need_kib)
        return NotPlaced{Reason::too_little_memory, request_.need_kib, total_.free_kib};
    return std::nullopt;
}

Outlook Problem::outlook(NodeMask set, Offer const& offer_of_set, unsigned more) const
{
    Outlook result;
    result.base_ = result.more_ = offer_of_set;
    auto const take = [&](Order const& order, std::uint64_t Offer::* what, NodeMask& taken) {
        unsigned i{0};
        for (unsigned left = more + 1; left > 0 && i < count_; ++i) {
            if (set.test(order[i]))
                continue;
            result.more_.*what += offer(order[i]).*what;
            if (--left > 0) {
                result.base_.*what += offer(order[i]).*what;
                taken.set(order[i]);
            }
        }
    };
    take(by_memory_, &Offer::free_kib, result.richest_);
    take(by_room_, &Offer::room, result.roomiest_);
    return result;
}

unsigned Problem::fewest_thinkable() const
{
    Offer memory_first, room_first;
    unsigned size{0};
    do {
        memory_first = memory_first + offer(by_memory_[size]);
        room_first = room_first + offer(by_room_[size]);
        ++size;
    } while (size < count_ && !suffices({memory_first.free_kib, room_first.room}));
    return size;
}

} // namespace hv::sched::placement
