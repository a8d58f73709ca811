// The armed timers of one pCPU: a pairing heap ordered by (deadline, arming sequence), with the node of a timer found
// by its id in a two-level table. Arm and first are O(1), take and disarm O(log n) amortised.
//
// Nodes come in chunks that are added from outside (reserve the id first, then take the lock) and never given back.
// Ties go to the timer armed first; addresses decide nothing. Locking: everything but the table of chunks is guarded by
// lock(), key (50, pCPU); chunks are published with release and found with acquire. Floor: arch/x86_64.
#pragma once

#include "arch/generic/thread_safety.hpp"
#include "arch/generic/ticket_lock.hpp"
#include "arch/generic/time.hpp"
#include "arch/generic/types.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace hv::arch {

inline constexpr std::uint16_t timer_lock_rank = 50;

struct TimerNode {
    Instant deadline;
    std::uint64_t sequence{0};
    TimerNode* child{nullptr};    // first of this node's children
    TimerNode* next{nullptr};     // next sibling
    TimerNode* previous{nullptr}; // previous sibling; of a first child, its parent
    TimerId id;
    bool is_armed{false};
};

class TimerQueue {
public:
    static constexpr unsigned chunk_nodes = 64;
    static constexpr unsigned max_chunks = 1024; // 65536 timers a pCPU
    struct Chunk {
        std::array<TimerNode, chunk_nodes> nodes;
    };

    constexpr explicit TimerQueue(CpuId cpu) : lock_{LockKey{timer_lock_rank, cpu.value()}} {}

    [[nodiscard]] TicketLock& lock() HV_TSA(lock_returned(lock_)) { return lock_; }

    // Whether there is a node for `id`. id < chunk_nodes * max_chunks.
    [[nodiscard]] bool has_node(TimerId id) const { return node(id) != nullptr; }
    // Adds the (zeroed) chunk that holds the node of `id`. False: another pCPU was faster, and the chunk is not used.
    [[nodiscard]] bool add_chunk(TimerId id, Chunk& chunk);

    // Arms the timer, or moves it if it is armed. True: it is the first now, so the hardware has to hear of it.
    bool arm(TimerId id, Instant deadline) HV_REQUIRES(lock_);
    void disarm(TimerId id) HV_REQUIRES(lock_);
    // The one to fire next; nullptr if none is armed.
    [[nodiscard]] TimerNode const* first() const HV_REQUIRES(lock_) { return root_; }
    // Removes the first and tells its id. The queue must not be empty.
    TimerId take_first() HV_REQUIRES(lock_);
    // The number that the next arm() will give; lower ones are taken.
    [[nodiscard]] std::uint64_t next_sequence() const HV_REQUIRES(lock_) { return next_sequence_; }
    [[nodiscard]] bool is_consistent() const HV_REQUIRES(lock_);

private:
    [[nodiscard]] TimerNode* node(TimerId id) const
    {
        HV_ASSERT(id.value() < chunk_nodes * max_chunks);
        // acquire: pairs with the release of add_chunk(), so that the chunk's zeroes are seen.
        Chunk* const chunk{chunks_[id.value() / chunk_nodes].load(std::memory_order_acquire)};
        return chunk == nullptr ? nullptr : &chunk->nodes[id.value() % chunk_nodes];
    }
    void remove(TimerNode& node) HV_REQUIRES(lock_);

    TicketLock lock_;
    TimerNode* root_ HV_GUARDED_BY(lock_){nullptr};
    std::uint64_t next_sequence_ HV_GUARDED_BY(lock_){0};
    std::uint32_t armed_ HV_GUARDED_BY(lock_){0};
    std::array<std::atomic<Chunk*>, max_chunks> chunks_{};
};

} // namespace hv::arch
