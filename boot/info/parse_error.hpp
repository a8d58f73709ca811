// Why something the firmware or the loader left in memory could not be used: which thing, where in it, what is wrong
// and what to do about it. All texts are literals, so an error is copied freely and lives as long as the program.
//
// A default-made ParseError means "no complaint". No locks. Floor: boot/info.
#pragma once

#include "arch/generic/format.hpp"

#include <cstdint>
#include <string_view>

namespace hv::boot {

struct ParseError {
    std::string_view thing; // with the kind of place: "SRAT, offset", "multiboot info, physical address"
    std::uint64_t place{0}; // what `thing` says it is
    std::string_view what;  // what is wrong
    std::string_view fix;   // what the user can do

    [[nodiscard]] constexpr bool is_set() const { return !what.empty(); }
    friend constexpr bool operator==(ParseError const&, ParseError const&) = default;
};

// One line without line end: "SRAT, offset 0x30: an entry is shorter than its header; report it to ...".
inline void describe(ParseError const& error, Sink& sink)
{
    if (!error.is_set())
        return;
    if (!error.thing.empty())
        print(sink, "{} {:x}: ", error.thing, error.place);
    print(sink, "{}; {}", error.what, error.fix);
}

} // namespace hv::boot
