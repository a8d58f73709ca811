// The packets of a Perfetto trace, as bytes: what Perfetto's published schema calls them, without what they mean here
// (perfetto.hpp). Field numbers are in perfetto_fields.hpp.
//
// Scheduling goes into bundles of one pCPU, in the native form of the scheduler view; everything else is a packet by
// itself. Packets of one pCPU's bundles, and those of one track, are in the order in which they are asked for; a bundle
// is written when it is large or old enough, so that memory does not grow with the trace. One writer, one thread. Host
// only. Floor: tools.
#pragma once

#include "tools/nv/byte_sink.hpp"
#include "tools/nv/proto_writer.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

class PerfettoWriter {
public:
    // A thread of the scheduler view. Thread 0 is a pCPU's idle one.
    struct Task {
        std::int32_t tid;
        std::string_view name;
    };
    enum class Flow : std::uint8_t { none, begins, ends };
    enum class Unit : std::uint8_t { none = 0, count = 2 };

    explicit PerfettoWriter(ByteSink& sink) : sink_{sink} {}

    // Descriptions, before what they describe. Times are ns and not 0; uuids are not 0; a parent of 0 is none.
    void process(std::int32_t pid, std::string_view name, std::string_view detail);
    void thread(std::int32_t tid, std::int32_t pid, std::string_view name);
    void track(std::uint64_t uuid, std::uint64_t parent, std::string_view name, std::uint32_t rank);
    void process_track(std::uint64_t uuid, std::int32_t pid, std::string_view name);
    void thread_track(std::uint64_t uuid, std::uint64_t parent, std::int32_t pid, std::int32_t tid,
                      std::string_view name);
    void counter_track(std::uint64_t uuid, std::uint64_t parent, std::string_view name, Unit unit);

    void begin(std::uint64_t when, std::uint64_t track, std::string_view name, std::string_view category);
    void end(std::uint64_t when, std::uint64_t track);
    void instant(std::uint64_t when, std::uint64_t track, std::string_view name, Flow flow = Flow::none,
                 std::uint64_t flow_id = 0);
    void counter(std::uint64_t when, std::uint64_t track, std::int64_t value);

    // On one pCPU times do not go backward. `left`: what the thread that makes way is from then on, as linux_state().
    void sched_switch(std::uint64_t when, std::uint32_t pcpu, Task before, std::int64_t left, Task next);
    void waking(std::uint64_t when, std::uint32_t pcpu, std::int32_t waker, Task task, std::uint32_t target);
    // Records of the pCPU were lost before what comes next.
    void lost(std::uint32_t pcpu);

    // Once, last.
    void finish();

private:
    struct Bundle {
        ProtoWriter events;
        std::uint64_t since{0};
        bool lost{false};
    };

    Bundle& bundle_of(std::uint64_t when, std::uint32_t pcpu);
    void flush(std::uint32_t pcpu);
    void flush_if_large();
    template <typename Body>
    void packet(Body const& body);
    template <typename Body>
    void track_event(std::uint64_t when, std::uint64_t track, std::uint32_t type, Body const& body);

    ByteSink& sink_;
    ProtoWriter out_;
    std::vector<Bundle> bundles_; // by pCPU
    bool is_first_{true};
};

} // namespace hv::nv
