// What the kernel tells the host on the debug console (never on the serial line): one `key name=value ...` a line.
//
//   trace directory=0x<physical address>    where sched/trace/directory.hpp's Directory lies
//   scenario start=<ns> [end=<ns>]          the stamps between which the scenario ran
//   alive at=<ns>                           ten times a second of a scenario: it is long, not hung
//
// Other lines are passed over: newer kernels may say more. Host only. Floor: tools.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hv::nv {

struct HostChannel {
    std::optional<std::uint64_t> trace_directory;
    std::optional<std::uint64_t> scenario_start;
    std::optional<std::uint64_t> scenario_end;
};

[[nodiscard]] HostChannel parse_host_channel(std::string_view text);

} // namespace hv::nv
