#include "arch/x86_64/timer_queue.hpp"

#include "arch/generic/assert.hpp"

namespace hv::arch {
namespace {

bool is_before(TimerNode const& a, TimerNode const& b)
{
    return a.deadline != b.deadline ? a.deadline < b.deadline : a.sequence < b.sequence;
}

// Joins two heaps; either may be empty. Roots have no siblings.
TimerNode* meld(TimerNode* a, TimerNode* b)
{
    if (a == nullptr)
        return b;
    if (b == nullptr)
        return a;
    if (is_before(*b, *a)) {
        TimerNode* const earlier{b};
        b = a;
        a = earlier;
    }
    b->previous = a;
    b->next = a->child;
    if (a->child != nullptr)
        a->child->previous = b;
    a->child = b;
    return a;
}

// Joins a chain of siblings: in pairs from the left, then the pairs from the right. Iterative: a chain may be long.
TimerNode* meld_siblings(TimerNode* first)
{
    TimerNode* pairs{nullptr}; // linked through `next`, the last pair first
    while (first != nullptr) {
        TimerNode* const a{first};
        TimerNode* const b{a->next};
        first = b != nullptr ? b->next : nullptr;
        a->next = a->previous = nullptr;
        if (b != nullptr)
            b->next = b->previous = nullptr;
        TimerNode* const pair{meld(a, b)};
        pair->next = pairs;
        pairs = pair;
    }
    TimerNode* root{nullptr};
    while (pairs != nullptr) {
        TimerNode* const pair{pairs};
        pairs = pair->next;
        pair->next = nullptr;
        root = meld(root, pair);
    }
    return root;
}

} // namespace

bool TimerQueue::add_chunk(TimerId id, Chunk& chunk)
{
    Chunk* none{nullptr};
    // release: publishes the chunk's content. relaxed on failure: the other's chunk is not looked at here.
    return chunks_[id.value() / chunk_nodes].compare_exchange_strong(none, &chunk, std::memory_order_release,
                                                                     std::memory_order_relaxed);
}

bool TimerQueue::arm(TimerId id, Instant deadline)
{
    TimerNode* const timer{node(id)};
    HV_ASSERT(timer != nullptr);
    if (timer->is_armed)
        remove(*timer);
    timer->deadline = deadline;
    timer->sequence = next_sequence_++;
    timer->id = id;
    timer->is_armed = true;
    ++armed_;
    root_ = meld(root_, timer);
    return root_ == timer;
}

void TimerQueue::disarm(TimerId id)
{
    TimerNode* const timer{node(id)};
    if (timer != nullptr && timer->is_armed)
        remove(*timer);
}

TimerId TimerQueue::take_first()
{
    HV_ASSERT(root_ != nullptr);
    TimerId const id{root_->id};
    remove(*root_);
    return id;
}

void TimerQueue::remove(TimerNode& timer)
{
    if (&timer == root_) {
        root_ = meld_siblings(timer.child);
    } else {
        if (timer.previous->child == &timer)
            timer.previous->child = timer.next;
        else
            timer.previous->next = timer.next;
        if (timer.next != nullptr)
            timer.next->previous = timer.previous;
        root_ = meld(root_, meld_siblings(timer.child));
    }
    timer.child = timer.next = timer.previous = nullptr;
    timer.is_armed = false;
    --armed_;
}

// Visits every armed node through the table: links agree, and nobody comes before its parent.
bool TimerQueue::is_consistent() const
{
    std::uint32_t seen{0};
    for (std::atomic<Chunk*> const& slot : chunks_) {
        Chunk const* const chunk{slot.load(std::memory_order_acquire)};
        if (chunk == nullptr)
            continue;
        for (TimerNode const& timer : chunk->nodes) {
            if (!timer.is_armed)
                continue;
            ++seen;
            if (timer.next != nullptr && timer.next->previous != &timer)
                return false;
            if (timer.child != nullptr && (timer.child->previous != &timer || is_before(*timer.child, timer)))
                return false;
            if ((timer.previous == nullptr) != (&timer == root_))
                return false;
        }
    }
    return seen == armed_;
}

} // namespace hv::arch
