// Tells when memory gets scarce: once each time it has halved, not at every page. The threshold starts at 64 MiB, or at
// what a smaller machine has free; each event halves it, and it goes back up, one doubling at a time, when four times
// as much is free: so memory that hovers about a threshold is reported once.
//
// A plain value; whoever has it asks it with what is free, as often as they like. No lock. Floor: mm.
#pragma once

#include "mm/types.hpp"

#include <bit>

namespace hv::mm {

class LowMemoryWatch {
public:
    static constexpr std::uint64_t highest = (std::uint64_t{64} << 20) / page_size; // pages, a power of two

    // On a machine with so many pages free at the start.
    constexpr explicit LowMemoryWatch(std::uint64_t free_pages)
        : top_{free_pages < highest ? std::bit_floor(free_pages) / 2 : highest}, threshold_{top_}
    {
    }

    // Whether that is an event: memory has fallen below the threshold since the last one.
    [[nodiscard]] constexpr bool update(std::uint64_t free_pages)
    {
        while (threshold_ < top_ && free_pages >= 4 * (threshold_ > 0 ? threshold_ : 1))
            threshold_ = threshold_ > 0 ? 2 * threshold_ : 1;
        bool is_low{false};
        for (; free_pages < threshold_; threshold_ /= 2)
            is_low = true;
        return is_low;
    }

    // In pages. 0: memory was as good as exhausted, and nothing more is reported until some is back.
    [[nodiscard]] constexpr std::uint64_t threshold() const { return threshold_; }

private:
    std::uint64_t top_;
    std::uint64_t threshold_;
};

} // namespace hv::mm
