// Which events are recorded: Xen's masks, by class and subclass.
//
// Bits 27..16 of an event's number, and of a mask, name the class, bits 15..12 the subclass. An event passes if one of
// its class bits is in the mask and, apart from that, one of its subclass bits: so two masks or-ed together also let
// through the one's classes with the other's subclasses, and a mask without any subclass lets nothing through. Whether
// an event passes is asked at every event, so the answer is worked out beforehand for every class and subclass
// (Passing) and the question is one test of one word. Pure, no state. Floor: sched.
#pragma once

#include <bit>
#include <cstdint>

namespace hv::sched::trace {

// Classes with all their subclasses, under Xen's names (TRC_GEN and so on).
inline constexpr std::uint32_t mask_gen = 0x0001f000;
inline constexpr std::uint32_t mask_sched = 0x0002f000;
inline constexpr std::uint32_t mask_dom0op = 0x0004f000;
inline constexpr std::uint32_t mask_hvm = 0x0008f000;
inline constexpr std::uint32_t mask_mem = 0x0010f000;
inline constexpr std::uint32_t mask_all = 0x0ffff000;

[[nodiscard]] constexpr bool passes(std::uint32_t mask, std::uint32_t event)
{
    return ((mask >> 16) & (event >> 16) & 0xfff) != 0 && ((mask >> 12) & (event >> 12) & 0xf) != 0;
}

// Four bits for each of the twelve classes: its subclasses.
using Passing = std::uint64_t;

[[nodiscard]] constexpr Passing passing(std::uint32_t mask)
{
    Passing result{0};
    for (unsigned of_class = 0; of_class < 12; ++of_class)
        if ((mask >> (16 + of_class) & 1) != 0)
            result |= Passing{(mask >> 12) & 0xf} << (4 * of_class);
    return result;
}

// Where an event of one class (all are) is looked up. It passes mask M iff (place_of(event) & passing(M)) != 0. A
// formula rather than the loop, so that the compiler makes a constant of it everywhere.
[[nodiscard]] constexpr Passing place_of(std::uint32_t event)
{
    return Passing{(event >> 12) & 0xf} << (4 * std::countr_zero((event >> 16) & 0xfff));
}

} // namespace hv::sched::trace
