// A trace as Common Trace Format 1.8: a folder with its description (`metadata`) and one stream of packets for each
// pCPU, which babeltrace2 and Trace Compass read.
//
// Events have the names and fields of Linux's scheduler, so that viewers know what to draw: sched_switch and
// sched_waking, with a domain's vCPU as a thread. Other records are events of their own names, with the words of the
// event table. What was lost counts as discarded events of the next packet. Stamps are ns; in a packet they do not go
// backward.
//
// One pass, memory by the number of pCPUs. One exporter, one thread. Host only. Floor: tools.
#pragma once

#include "tools/nv/trace_facts.hpp"
#include "tools/nv/trace_timeline.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

class CtfExporter {
public:
    // Appends to a file of the folder: "metadata", "pcpu3".
    using Append = std::function<void(std::string const& file, std::span<std::uint8_t const> bytes)>;

    CtfExporter(Append append, TraceFacts const& facts, std::uint64_t hz);

    // In the order of stamps.
    void record(Record const& record);
    // Once, last.
    void finish();

private:
    struct Packet {
        std::vector<std::uint8_t> events;
        std::uint64_t begin{0}, end{0};
        std::uint64_t discarded{0};            // of the pCPU, up to now
        std::size_t running{Timeline::nobody}; // as told by the last switch; nobody: the idle thread
        bool has_file{false};
    };
    struct Vcpu {
        std::string name;
        std::int32_t tid{0}; // 0: an idle vCPU
        std::uint32_t last_pcpu{0};
    };

    Packet& begin_event(std::uint32_t pcpu, std::uint64_t when, std::uint32_t id);
    void flush(std::uint32_t pcpu);
    Vcpu& meet(std::size_t index);
    void put_task(Packet& packet, std::uint32_t pcpu, std::size_t vcpu);
    void switch_to(std::uint64_t when, std::uint32_t pcpu, std::size_t next);
    void wake(Timeline::Step const& step);
    void other(Timeline::Step const& step, Record const& record);

    Append append_;
    Timeline timeline_;
    std::vector<Vcpu> vcpus_;     // as the timeline's, as far as they were met
    std::vector<Packet> packets_; // by pCPU
    std::vector<std::uint8_t> out_;
};

} // namespace hv::nv
