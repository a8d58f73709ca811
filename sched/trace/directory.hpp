// Where the rings are: the layout by which a host tool that sees the guest's memory finds the trace records.
//
// The kernel announces the directory's physical address on the host channel as `trace directory=0x...`. Everything is
// little endian; addresses are physical. A ring's `head` and `tail` count bytes since the start and never wrap; the
// record bytes of [tail, head) lie at data + (position modulo bytes). The kernel writes head, the host writes tail.
// Floor: sched.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hv::sched::trace {

inline constexpr std::array<char, 8> directory_magic{'H', 'V', 'T', 'R', 'A', 'C', 'E', '1'};
inline constexpr std::uint32_t directory_version = 1;

// Of one pCPU, in memory of its own node. Producer and consumer keep to cache lines of their own.
struct RingControl {
    std::uint64_t head{0};       // bytes produced, published after the record is complete
    std::uint64_t lost_total{0}; // records dropped since the start
    std::uint64_t lost_pending{0};
    std::uint64_t lost_first_stamp{0};
    std::array<std::uint64_t, 4> unused{};
    std::uint64_t tail{0}; // bytes consumed
    std::array<std::uint64_t, 7> unused_consumer{};
};
static_assert(sizeof(RingControl) == 128 && offsetof(RingControl, tail) == 64);

struct DirectoryRing {
    std::uint64_t control; // physical address of the RingControl
    std::uint64_t data;
    std::uint64_t bytes; // a power of two, or 0: this pCPU has no ring
};
static_assert(sizeof(DirectoryRing) == 24);

struct Directory {
    std::array<char, 8> magic{directory_magic};
    std::uint32_t version{directory_version};
    std::uint32_t pcpu_count{0};
    std::uint32_t stamp_khz{1'000'000}; // stamps are nanoseconds
    std::uint32_t mask{0};
    // Followed by pcpu_count entries of DirectoryRing.
};
static_assert(sizeof(Directory) == 24);

} // namespace hv::sched::trace
