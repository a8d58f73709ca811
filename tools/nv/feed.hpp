// From trace events to the Collector: which records are scheduling decisions, and of which vCPU. The simulator feeds
// the same events as they happen; for traces there is a RunMeter. Host only. Floor: tools.
#pragma once

#include "tools/nv/metrics.hpp"
#include "tools/nv/trace_facts.hpp"
#include "tools/nv/trace_stream.hpp"
#include "tools/nv/xentrace.hpp"

#include <cstdint>
#include <span>
#include <string>

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

// The figures of a run out of its trace. The simulator's time stands still within an event, while the stamps of its
// records go on by one: there a record stamped one after the one before counts as of the same time, so that these are
// the very figures that the simulator computed as it went.
class RunMeter {
public:
    // The scenario must outlive the meter.
    explicit RunMeter(RecordedRun const& run);

    // In the order of stamps.
    void record(Record const& record);
    [[nodiscard]] Measured finish();

private:
    [[nodiscard]] Instant time_of(std::uint64_t stamp);

    RecordedRun const& run_;
    Collector collector_;
    Feed feed_;
    std::uint64_t records_{0}, stamp_{0}, time_{0};
};

// Of a whole trace.
[[nodiscard]] Measured measure(RecordedRun const& run, TraceStream& trace);
// metrics.json.
[[nodiscard]] std::string run_json(RecordedRun const& run, Measured const& measured);

} // namespace hv::nv
