// One line a record, decoded with the event table: seconds since the first stamp, pCPU, name, words. Host only.
// Floor: tools.
#pragma once

#include "tools/nv/trace_facts.hpp"
#include "tools/nv/xentrace.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hv::nv {

// What all must hold of a record that is shown; what is not given holds.
struct DumpFilter {
    std::optional<double> from, to; // seconds since the first stamp
    std::optional<std::uint32_t> pcpu;
    std::optional<VcpuName> vcpu;
    // An event by its number; runstate_change without states is all sixteen.
    std::optional<std::uint32_t> event;
    bool any_runstate{false};

    [[nodiscard]] bool passes(Record const& record, double seconds) const;
};

// A name of the event table, one of a run state change ("running_to_blocked") or a number. Throws (bad_input).
void set_event(DumpFilter& filter, std::string_view text);

// "d1v0", "idle3".
[[nodiscard]] std::string vcpu_name(std::uint32_t domain, std::uint32_t vcpu);
// "running" and so on.
[[nodiscard]] std::string_view name_of(sched::trace::RunStateCode state);

// Without the line's end. `seconds`: since the first stamp.
[[nodiscard]] std::string dump_line(Record const& record, double seconds);

} // namespace hv::nv
