// The timer queue as a data structure, against a model that looks at every timer.
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/small_memory.hpp"
#include "arch/x86_64/timer_queue.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

#include <array>
#include <new>

namespace hv::test {
namespace {

constexpr TimerId::Rep timer_count = 40;
constexpr unsigned operations = 4000;

struct Model {
    struct Entry {
        bool is_armed{false};
        Instant deadline;
        std::uint64_t sequence{0};
    };
    std::array<Entry, timer_count> entries{};
    std::uint64_t next_sequence{0};

    [[nodiscard]] TimerId::Rep first() const // timer_count: none
    {
        TimerId::Rep best{timer_count};
        for (TimerId::Rep id = 0; id < timer_count; ++id) {
            Entry const& e{entries[id]};
            if (e.is_armed && (best == timer_count || e.deadline < entries[best].deadline ||
                               (e.deadline == entries[best].deadline && e.sequence < entries[best].sequence)))
                best = id;
        }
        return best;
    }
};

class Random {
public:
    [[nodiscard]] std::uint32_t below(std::uint32_t limit)
    {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return static_cast<std::uint32_t>(state_ >> 33) % limit;
    }

private:
    std::uint64_t state_{20240607}; // A fixed seed: a failure must replay.
};

// One random operation on both; false if they disagree.
bool step(arch::TimerQueue& queue, Model& model, Random& random)
{
    Guard const guard{queue.lock(), irqs_off};
    TimerId::Rep const id{random.below(timer_count)};
    switch (random.below(4)) {
    case 0:
    case 1: {
        Instant const deadline{Instant::at_ns(random.below(50))}; // few values, so that many are equal
        model.entries[id] = {true, deadline, model.next_sequence++};
        if (queue.arm(TimerId{id}, deadline) != (model.first() == id))
            return false;
        break;
    }
    case 2:
        model.entries[id].is_armed = false;
        queue.disarm(TimerId{id});
        break;
    default:
        if (TimerId::Rep const first{model.first()}; first != timer_count) {
            model.entries[first].is_armed = false;
            if (queue.take_first() != TimerId{first})
                return false;
        }
    }
    TimerId::Rep const first{model.first()};
    if ((queue.first() == nullptr) != (first == timer_count))
        return false;
    return first == timer_count || queue.first()->id == TimerId{first};
}

bool is_consistent(arch::TimerQueue& queue)
{
    Guard const guard{queue.lock(), irqs_off};
    return queue.is_consistent();
}

bool agrees_with_model(arch::TimerQueue& queue)
{
    Model model;
    Random random;
    for (unsigned i = 0; i < operations; ++i) {
        arch::IrqSave const irqs;
        if (!step(queue, model, random) || (i % 100 == 0 && !is_consistent(queue)))
            return false;
    }
    return true;
}

} // namespace

HV_SELFTEST(timer_queue_agrees_with_a_model_that_looks_at_every_timer)
{
    NodeId const node{arch::this_percpu().node};
    void* const memory{arch::allocate_memory(node, sizeof(arch::TimerQueue), alignof(arch::TimerQueue))};
    void* const chunk{arch::allocate_memory(node, sizeof(arch::TimerQueue::Chunk), alignof(arch::TimerQueue::Chunk))};
    HV_CHECK(memory != nullptr && chunk != nullptr);
    auto& queue = *::new (memory) arch::TimerQueue{CpuId{0}};
    HV_CHECK(!queue.has_node(TimerId{0}));
    HV_CHECK(queue.add_chunk(TimerId{0}, *::new (chunk) arch::TimerQueue::Chunk{}));
    HV_CHECK(queue.has_node(TimerId{timer_count - 1}));
    bool const agrees = agrees_with_model(queue);
    arch::release_memory(chunk, sizeof(arch::TimerQueue::Chunk), alignof(arch::TimerQueue::Chunk));
    arch::release_memory(memory, sizeof(arch::TimerQueue), alignof(arch::TimerQueue));
    HV_CHECK(agrees);
}

} // namespace hv::test
