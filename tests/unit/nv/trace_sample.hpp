// Small traces by hand, for the tests of nv trace: records in the order in which a pCPU writes them. Host only. Floor:
// tests.
#pragma once

#include "sched/trace/events.hpp"
#include "tools/nv/xentrace.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <vector>

namespace hv::nv::sample {

using sched::trace::Event;
using State = sched::trace::RunStateCode;
using Bytes = std::vector<std::byte>;

inline constexpr std::uint16_t idle = 32767;          // the domain
inline constexpr std::uint64_t hertz = 1'000'000'000; // of the stamps

inline Record make(std::uint32_t event, std::optional<std::uint64_t> stamp, std::initializer_list<std::uint32_t> words)
{
    Record record;
    record.event = event;
    record.stamp = stamp.value_or(0);
    record.has_stamp = stamp.has_value();
    for (std::uint32_t const word : words)
        record.word_store[record.word_count++] = word;
    return record;
}

class Sample {
public:
    Sample& put(std::uint32_t pcpu, Record const& record)
    {
        Bytes const bytes = encode(record);
        streams_[pcpu].insert(streams_[pcpu].end(), bytes.begin(), bytes.end());
        return *this;
    }
    Sample& change(std::uint32_t pcpu, std::uint64_t stamp, std::uint16_t domain, std::uint16_t vcpu, State from,
                   State to)
    {
        return put(pcpu, make(sched::trace::runstate_event(from, to), stamp, {sched::trace::pack_vcpu(domain, vcpu)}));
    }
    Sample& resume(std::uint32_t pcpu, std::uint64_t stamp, std::uint16_t domain, std::uint16_t vcpu)
    {
        return put(pcpu, make(static_cast<std::uint32_t>(Event::continue_running), stamp,
                              {sched::trace::pack_vcpu(domain, vcpu)}));
    }

    [[nodiscard]] Bytes file(std::size_t most_window_bytes = 0xffff'f000) const
    {
        std::vector<Stream> streams;
        for (auto const& [pcpu, bytes] : streams_)
            streams.push_back({pcpu, bytes});
        return write_xentrace(streams, most_window_bytes);
    }

private:
    std::map<std::uint32_t, Bytes> streams_;
};

} // namespace hv::nv::sample
