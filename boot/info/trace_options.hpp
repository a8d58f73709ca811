// The values of the options that say what is traced: masks, sets of pCPUs, modes. Pure parsing; nullopt is "not
// allowed". The numbers of classes are Xen's and are checked against the trace's own where both are known
// (boot/trace_report.cpp). No state. Floor: boot/info.
#pragma once

#include "arch/generic/types.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hv::boot {

enum class TraceMode : std::uint8_t { drop, stop, flight };

// Classes of events, with all their subclasses.
struct TraceClass {
    std::string_view name, xen_name;
    std::uint32_t mask;
};
inline constexpr std::array<TraceClass, 6> trace_classes{{{"gen", "TRC_GEN", 0x0001f000},
                                                          {"sched", "TRC_SCHED", 0x0002f000},
                                                          {"dom0op", "TRC_DOM0OP", 0x0004f000},
                                                          {"hvm", "TRC_HVM", 0x0008f000},
                                                          {"mem", "TRC_MEM", 0x0010f000},
                                                          {"all", "TRC_ALL", 0x0ffff000}}};

// Which of the first 256 pCPUs. (CpuMask is not trivially copyable, which options have to be.)
class TraceCpus {
public:
    static constexpr unsigned capacity = 256;

    // first <= last < capacity.
    constexpr void set_range(unsigned first, unsigned last)
    {
        for (unsigned cpu = first; cpu <= last; ++cpu)
            words_[cpu / 64] |= std::uint64_t{1} << cpu % 64;
    }
    [[nodiscard]] constexpr bool test(unsigned cpu) const { return (words_[cpu / 64] >> cpu % 64 & 1) != 0; }
    // The highest member. There is one in any that was parsed.
    [[nodiscard]] constexpr unsigned highest() const
    {
        unsigned word{capacity / 64 - 1};
        while (word > 0 && words_[word] == 0)
            --word;
        return word * 64 + static_cast<unsigned>(std::bit_width(words_[word])) - 1;
    }

private:
    std::array<std::uint64_t, capacity / 64> words_{};
};

// off, or a list of classes by name and of numbers (0x.. or decimal), or-ed together.
[[nodiscard]] std::optional<std::uint32_t> parse_trace_mask(std::string_view text);
// A list of numbers and ranges: 0,2,5-7; a range may lack an end: -3, 12-.
[[nodiscard]] std::optional<TraceCpus> parse_trace_cpus(std::string_view text);
[[nodiscard]] std::optional<TraceMode> parse_trace_mode(std::string_view text);

} // namespace hv::boot
