// How the host of a trace executed its pCPUs: side by side, or by turns on one thread, as an emulator's. The trace
// tells:
//
// * On a host that takes turns nobody else writes a record while a pCPU executes. So for each burst of a pCPU's records
//   count the other pCPUs that had somebody to run and wrote in its midst. Side by side they are as many as write by
//   chance in a window of that length, any time that they have somebody to run; by turns there are hardly any.
// * A pCPU that is asked to decide does so when it has its turn. From the request until then each pCPU on the way that
//   has something to do has a turn that ends before its work, and only those are counted, which gives the mean length
//   of such turns. Those that somebody else ended who then wrote a record (its timer was due) have a known cause.
//
// Times are ticks of the stamps. Memory: the square of the number of pCPUs. One thread. Host only. Floor: tools.
#pragma once

#include "tools/nv/xentrace.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <vector>

namespace hv::nv {

// How the host executed its pCPUs.
enum class HostPcpus {
    side_by_side,
    by_turns, // on one thread: what a vCPU ran, and what its wake-up took, counts as far as its pCPU executed
};

struct HostModel {
    HostPcpus pcpus{HostPcpus::side_by_side};
    std::uint64_t turn{0};   // ticks: mean length of a turn that ends before its work; 0: not known
    std::uint64_t silent{0}; // ticks: the same, of those that end without a cause in the trace; 0: none does
};

class HostTurns {
public:
    explicit HostTurns(std::uint64_t hz) : most_apart_{hz * burst_gap_us / 1'000'000} {}

    // In the order of stamps.
    void record(Record const& record);

    struct Evidence {
        double expected{0};    // pairs of a burst and a pCPU that would have written in it by chance, side by side
        std::uint64_t seen{0}; // that did
        std::uint64_t ends{0}; // of turns that ended before their work
    };
    [[nodiscard]] Evidence evidence() const;
    [[nodiscard]] HostModel model() const;
    [[nodiscard]] HostModel by_turns() const; // whatever the evidence

    static constexpr double enough = 5; // expected, to tell anything

private:
    static constexpr std::uint64_t burst_gap_us = 5; // records of a burst are not further apart
    static constexpr std::uint64_t sub_buckets = 4;
    static constexpr std::size_t bucket_count = sub_buckets * 64;

    struct Lengths {
        std::array<std::uint64_t, bucket_count> count{};
        std::array<double, bucket_count> sum{};
    };
    struct Pcpu {
        std::uint64_t last{0};  // stamp of its last record
        bool is_busy{false};    // since then, with a vCPU
        Lengths gaps;           // from a record while it is busy to its next
        std::uint64_t burst{0}; // stamp of the first record of the last burst
        enum class Other : std::uint8_t { idle, busy, wrote };
        std::vector<Other> others;                         // what they did in the burst, by number
        std::array<std::uint64_t, bucket_count> watched{}; // bursts of others, begun while it was busy, by length
    };
    struct Request {
        std::uint32_t by;
        std::uint64_t when;
        std::uint64_t turns;    // on the way
        std::uint64_t known{0}; // others that came first, of their own accord
    };

    [[nodiscard]] static std::size_t bucket_of(std::uint64_t ticks);
    [[nodiscard]] static double least_of(std::size_t bucket);
    [[nodiscard]] double chance(Pcpu const& pcpu, double window) const;
    void note(std::uint32_t number);
    void begin_burst(Pcpu& mine);
    void end_burst(Pcpu const& mine);
    void answer(std::uint32_t number, std::uint64_t now);
    void ask(std::uint32_t by, std::uint32_t whom, std::uint64_t now);
    void goes_idle(std::uint32_t number, std::uint64_t now);
    [[nodiscard]] bool is_between(std::uint32_t number, std::uint32_t from, std::uint32_t to) const;

    std::uint64_t most_apart_; // ticks
    std::uint64_t seen_{0};
    std::vector<Pcpu> pcpus_;                   // by number
    std::map<std::uint32_t, Request> requests_; // by whom they are to
    std::uint64_t now_{0};
    std::uint32_t executing_{~0u}; // who wrote last
    std::uint64_t ends_{0}, known_ends_{0}, waited_{0};
};

} // namespace hv::nv
