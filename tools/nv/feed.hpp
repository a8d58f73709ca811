// From trace events to the Collector: which records are scheduling decisions, and of which vCPU. The simulator feeds
// the same events as they happen; for files there is measure(). Host only. Floor: tools.
#pragma once

#include "tools/nv/metrics.hpp"
#include "tools/nv/xentrace.hpp"

#include <cstdint>
#include <span>

namespace hv::nv {

inline constexpr std::uint16_t idle_domain = 32767;

class Feed {
public:
    explicit Feed(Collector& collector) : collector_{collector} {}

    // An event at `when` since the start of the scenario. Events that say nothing of run states are passed over.
    void event(Instant when, std::uint16_t pcpu, std::uint32_t number, std::span<std::uint32_t const> words);

    [[nodiscard]] std::uint64_t lost() const { return lost_; }           // records that the producer had to drop
    [[nodiscard]] std::uint64_t strangers() const { return strangers_; } // run states of vCPUs not in the scenario

private:
    void guest_event(Instant when, std::uint32_t number, std::span<std::uint32_t const> words);

    Collector& collector_;
    std::uint64_t lost_{0}, strangers_{0};
};

struct Measured {
    Metrics metrics;
    std::uint64_t records{0};
    std::uint64_t lost{0};
    std::uint64_t strangers{0};
};

// The figures of a whole trace. `start`: the stamp at which the scenario's time is zero.
[[nodiscard]] Measured measure(Scenario const& scenario, Trace& trace, std::uint64_t start);

} // namespace hv::nv
