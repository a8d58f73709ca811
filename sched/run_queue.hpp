// Run queue of one pCPU: best priority first, first come first served within a priority.
//
// Accounting runs on another pCPU and may change the priority of a queued element at any time (so it is an atomic
// there) but never touches the list: the order stays as it was until the owner calls partition(). So insertion and
// stealing may meet elements out of order, and stop where upstream's stop. Locking: none here; the owner pairs it with
// its pCPU's lock. Floor: sched.
#pragma once

#include "arch/generic/list.hpp"

#include <concepts>
#include <cstdint>

namespace hv::sched {

// The numbers are upstream's and part of what traces and dumps show; larger is better.
enum class Prio : std::int8_t { idle = -64, over = -2, under = -1, boost = 0 };

struct RunQueueTag;

// All that a run queue asks of what it queues.
template <typename E>
concept Queueable = std::derived_from<E, ListNode<RunQueueTag>> && requires(E const& element) {
    { element.prio() } noexcept -> std::same_as<Prio>;
};

template <Queueable Element>
class RunQueue {
    using Elements = List<Element, RunQueueTag>;

public:
    using Iterator = typename Elements::Iterator;

    constexpr RunQueue() = default;

    [[nodiscard]] constexpr bool empty() const { return elements_.empty(); }
    [[nodiscard]] constexpr Element* front() const { return empty() ? nullptr : &*elements_.begin(); }
    [[nodiscard]] constexpr Iterator begin() const { return elements_.begin(); }
    [[nodiscard]] constexpr Iterator end() const { return elements_.end(); }

    // Behind all equals. One that yields also lets exactly one worse element pass, though never the idle one.
    constexpr void insert(Element& element, bool yields = false)
    {
        Prio const prio{element.prio()};
        Iterator position{elements_.begin()};
        while (position != elements_.end() && position->prio() >= prio)
            ++position;
        if (yields && position != elements_.end() && position->prio() > Prio::idle)
            ++position;
        elements_.insert_before(position, element);
    }

    constexpr void remove(Element& element)
    {
        HV_ASSERT_SLOW(contains(element)); // erase() alone would accept one that is linked in a peer's queue.
        elements_.erase(element);
    }

    // Bring those with credit (under and better) before the rest; the order within each part stays. O(n). Each priority
    // is read once, since it may change meanwhile.
    constexpr void partition()
    {
        Iterator const end{elements_.end()};
        Iterator at{elements_.begin()};
        for (;; ++at) {
            if (at == end)
                return;
            if (at->prio() < Prio::under)
                break;
        }
        Iterator const rest{at++};
        while (at != end) {
            Element& element{*at++};
            if (element.prio() >= Prio::under)
                elements_.move_before(rest, element);
        }
    }

    [[nodiscard]] constexpr bool contains(Element const& wanted) const
    {
        for (Element const& element : elements_) {
            if (&element == &wanted)
                return true;
        }
        return false;
    }

private:
    Elements elements_;
};

} // namespace hv::sched
