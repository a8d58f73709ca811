// The figures of a whole trace in memory. Host only. Floor: tests.
#pragma once

#include "tools/nv/trace_stream.hpp"
#include "tools/nv/trace_summary.hpp"

#include <span>

namespace hv::nv {

// Stamps are ns.
inline TraceFigures figures_of(std::span<std::byte const> file, TraceFacts const& facts = {})
{
    constexpr std::uint64_t gigahertz = 1'000'000'000;
    TraceStream stream{file};
    Summariser summariser{facts, gigahertz, stream.pcpus()};
    while (std::optional<Record> const record = stream.next())
        summariser.record(*record);
    return summariser.finish(stream.windows());
}

} // namespace hv::nv
