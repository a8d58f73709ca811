// The options of the kernel: space-separated `key=value` or bare `key`; a value may stand in double quotes.
//
// One table drives parsing, error texts and the help. An option that is unknown, given twice or out of range is
// refused: a typo that is ignored costs somebody an afternoon. Texts in Options and OptionError are views into the line
// that was parsed. Pure, no locks. Floor: boot/info.
#pragma once

#include "arch/generic/format.hpp"
#include "arch/generic/result.hpp"
#include "boot/info/trace_options.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace hv::boot {

inline constexpr std::uint16_t most_pcpus = 255; // xAPIC ids 0 to 254

struct Options {
    std::string_view sched;                    // policy; empty: what the scenario says
    bool selftest{false};                      // run the in-kernel self-tests...
    std::string_view selftest_pattern;         // ...whose name contains this (empty: all)
    std::uint32_t khz{0};                      // rate of the TSC in kHz; 0: calibrate
    std::uint32_t trace_kib{1024};             // trace ring of each pCPU in KiB, a power of two; 0: no trace
    std::optional<std::uint32_t> trace_mask{}; // what is traced; nothing: what the scenario says
    std::optional<TraceCpus> trace_cpus{};     // on which pCPUs; nothing: all
    TraceMode trace_mode{TraceMode::drop};     // what becomes of records for which there is no room
    bool numa{true};                           // believe SRAT and SLIT
    bool quiet{false};                         // log less
    bool console{false};                       // take commands from the serial ports; the scenario does not end the run
    std::uint16_t maxcpus{most_pcpus};         // bring up at most so many pCPUs
    std::uint32_t chop_ns{0};                  // under an instruction counter: switch pCPUs so often; 0: when they wait
    std::uint32_t watchdog_ms{5'000};          // a pCPU with interrupts off for that long is stuck; 0: nobody looks
};

struct OptionError {
    std::string_view option;  // the option as it was typed
    unsigned column{0};       // of its first character in the line, from 1
    std::string_view what;    // what is wrong with it
    std::string_view allowed; // what would be right; empty: the names of all options
};

[[nodiscard]] Result<Options, OptionError> parse_options(std::string_view line);

// One line without line end: the column, the option, what is wrong and what is allowed.
void describe(OptionError const& error, Sink& sink);

// One line for each option.
void print_option_help(Sink& sink);

} // namespace hv::boot
