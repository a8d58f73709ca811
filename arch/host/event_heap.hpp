// The pending events of a simulated machine, earliest first; of equal times the one that was created first.
//
// Every event stands in a slot of its own (a timer, a reschedule under way), so that it can be replaced or dropped in
// place and nothing stale is ever handled. A 4-ary heap that knows where each slot's event is: each operation is O(log
// n) in the number of pending events. Single-threaded. Floor: arch/host.
#pragma once

#include "arch/generic/assert.hpp"
#include "arch/generic/time.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace hv::arch {

class EventHeap {
public:
    using Slot = std::uint32_t;

    struct Event {
        Instant when;
        std::uint64_t order; // of creation
        Slot slot;
    };

    [[nodiscard]] bool empty() const { return events_.empty(); }
    [[nodiscard]] Event const& earliest() const { return events_.front(); }
    [[nodiscard]] bool is_pending(Slot slot) const { return slot < position_.size() && position_[slot] != 0; }

    // Of a pending one.
    [[nodiscard]] Instant when(Slot slot) const
    {
        HV_ASSERT(is_pending(slot));
        return events_[position_[slot] - 1].when;
    }

    // Replaces what is pending in the slot, if anything; it counts as created now.
    void put(Slot slot, Instant when)
    {
        if (slot >= position_.size())
            position_.resize(std::max<std::size_t>(slot + 1, position_.size() * 2));
        if (position_[slot] == 0) {
            events_.emplace_back();
            position_[slot] = static_cast<std::uint32_t>(events_.size());
        }
        place({when, next_order_++, slot}, position_[slot] - 1);
    }

    void drop(Slot slot)
    {
        if (!is_pending(slot))
            return;
        std::size_t const hole = position_[slot] - 1;
        position_[slot] = 0;
        Event const last{events_.back()};
        events_.pop_back();
        if (hole < events_.size())
            place(last, hole);
    }

private:
    static bool before(Event const& a, Event const& b)
    {
        return a.when != b.when ? a.when < b.when : a.order < b.order;
    }

    void set(std::size_t at, Event const& event)
    {
        events_[at] = event;
        position_[event.slot] = static_cast<std::uint32_t>(at + 1);
    }

    // Puts `event` where `at` is free, or above or below it.
    void place(Event const& event, std::size_t at)
    {
        for (; at > 0 && before(event, events_[(at - 1) / 4]); at = (at - 1) / 4)
            set(at, events_[(at - 1) / 4]);
        while (true) {
            std::size_t const first{4 * at + 1};
            if (first >= events_.size())
                break;
            std::size_t least{first};
            for (std::size_t child = first + 1; child < std::min(first + 4, events_.size()); ++child)
                if (before(events_[child], events_[least]))
                    least = child;
            if (!before(events_[least], event))
                break;
            set(at, events_[least]);
            at = least;
        }
        set(at, event);
    }

    std::vector<Event> events_;
    std::vector<std::uint32_t> position_; // by slot: index in events_ + 1, 0 if nothing is pending
    std::uint64_t next_order_{1};
};

} // namespace hv::arch
