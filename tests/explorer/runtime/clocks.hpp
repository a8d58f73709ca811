// What happened before what: a vector clock a fiber, handed on by atomic operations according to the order that they
// declare, and for each byte of the arena who touched it last. Two plain accesses of which at least one writes, and of
// which neither happened before the other, are a race, in whatever order they came in this run. Floor: tests.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace hv::explorer {

inline constexpr unsigned fiber_count = 3;

using Clock = std::array<std::uint32_t, fiber_count>;

struct Race {
    unsigned other;       // the fiber whose access came first
    void const* other_pc; // where
    bool other_wrote;
};

class Clocks {
public:
    Clocks();

    void begin(); // a run

    // true: there is a race, told in `race`.
    [[nodiscard]] bool plain(unsigned fiber, std::uint32_t offset, unsigned bytes, bool writes, void const* pc,
                             Race& race);
    void free(std::uint32_t offset, std::uint32_t bytes);
    [[nodiscard]] bool is_free(std::uint32_t offset) const { return freed_[offset / cell_bytes] == run_; }

    void acquire(unsigned fiber, std::uint32_t offset);
    // `follows`: a change of the word that continues what was released before, rather than a store.
    void release(unsigned fiber, std::uint32_t offset, bool follows) { publish(offset, follows, leave(fiber)); }
    // For a store that becomes visible later: the clock to publish then.
    [[nodiscard]] Clock leave(unsigned fiber);
    void publish(std::uint32_t offset, bool follows, Clock const& clock);
    void forget(std::uint32_t offset); // a relaxed store

private:
    static constexpr unsigned cell_bytes{8};
    struct Touch {
        std::uint32_t clock{0};
        std::uint32_t mask{0}; // of the cell's bytes
        void const* pc{nullptr};
    };
    struct Cell {
        std::uint32_t run{0};
        std::array<Touch, fiber_count> wrote, read;
    };
    struct Released {
        std::uint32_t run{0};
        Clock clock{};
    };

    [[nodiscard]] bool touch(unsigned fiber, std::uint32_t cell, std::uint32_t mask, bool writes, void const* pc,
                             Race& race);

    std::uint32_t run_{0};
    std::array<Clock, fiber_count> now_{};
    std::vector<Cell> cells_;
    std::vector<Released> released_; // by offset
    std::vector<std::uint32_t> freed_;
};

} // namespace hv::explorer
