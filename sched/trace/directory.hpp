// Where the rings are: the layout by which a host tool that sees the guest's memory finds the trace records.
//
// The kernel announces the directory's physical address on the host channel as `trace directory=0x...`. Everything is
// little endian; addresses are physical. A ring's `head` and `tail` count bytes since the start and never wrap; the
// record bytes of [tail, head) lie at data + (position modulo bytes), and `tail` always is the start of a record. The
// kernel writes head, the host writes tail; in flight mode nobody reads while the kernel runs, and the kernel writes
// both. Floor: sched.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hv::sched::trace {

inline constexpr std::array<char, 8> directory_magic{'H', 'V', 'T', 'R', 'A', 'C', 'E', '1'};
inline constexpr std::uint32_t directory_version = 2;

// What happens to a record that finds its ring full.
enum class Mode : std::uint32_t {
    drop = 0,   // it is lost; those for which there is room again follow after a LOST record
    stop = 1,   // it is lost, and so is every later one: the ring keeps the beginning
    flight = 2, // it overwrites the oldest: the ring keeps the end
};

// Whether more records may come.
enum class Finish : std::uint32_t {
    running = 0, // still written, or the machine died without a word
    closed = 1,  // complete: every vCPU went offline, every loss is told
    panicked = 2 // as far as the panic let it: what ran went offline, every loss is told
};

// Of one pCPU, in memory of its own node. The first line is the writer's, the second the reader's.
struct RingControl {
    std::uint64_t head{0};             // bytes produced, published after the record is complete
    std::uint64_t lost_total{0};       // records dropped since the start
    std::uint64_t lost_pending{0};     // of these, the ones that no LOST record has told yet
    std::uint64_t lost_first_stamp{0}; // of the first of those
    std::uint64_t reserve{0};          // bytes handed out to writers, complete or not; never below head
    std::uint64_t limit{0};            // up to here a writer may reserve without any further question
    std::uint64_t lap{0};              // what to add to a position below limit for its address in the kernel
    std::uint64_t unused{0};
    std::uint64_t tail{0};        // bytes consumed
    std::uint64_t overwritten{0}; // records that flight mode gave up, or the losses that they told
    std::array<std::uint64_t, 6> unused_consumer{};
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
    std::uint32_t mask{0};              // at the start of the run
    Mode mode{Mode::drop};
    Finish finish{Finish::running};
    // Followed by pcpu_count entries of DirectoryRing.
};
static_assert(sizeof(Directory) == 32);

} // namespace hv::sched::trace
