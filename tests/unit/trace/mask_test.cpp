// Xen's rules for masks: the documented ones, one by one, and the prepared form against them.
#include "sched/trace/events.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace hv::sched::trace {
namespace {

constexpr std::uint32_t min = 0x00021021;     // running -> blocked
constexpr std::uint32_t credit = 0x00022005;  // a scheduler's own
constexpr std::uint32_t verbose = 0x00028004; // wake
constexpr std::uint32_t gen = 0x0001f001;
constexpr std::uint32_t dom0op = 0x00041001;
constexpr std::uint32_t hvm_entry = 0x00081001;
constexpr std::uint32_t mem = 0x0010f001;

struct Rule {
    std::uint32_t mask;
    std::uint32_t event;
    bool passes;
    char const* why;
};
constexpr std::array rules{
    Rule{mask_all, min, true, "all"},
    Rule{mask_all, mem, true, "all"},
    Rule{mask_all, gen, true, "all"},
    Rule{0xfffff000, verbose, true, "the man page's spelling of all: only bits 27 to 12 take part"},
    Rule{mask_sched, verbose, true, "a class has all its subclasses"},
    Rule{mask_sched, min, true, "a class has all its subclasses"},
    Rule{mask_sched, dom0op, false, "another class"},
    Rule{mask_dom0op, dom0op, true, "its class"},
    Rule{mask_mem, mem, true, "its class"},
    Rule{mask_hvm, mem, false, "another class"},
    Rule{mask_gen, gen, true, "its class"},
    Rule{0x00021000, min, true, "just run states, the cheap mode"},
    Rule{0x00021000, verbose, false, "another subclass"},
    Rule{0x00021000, credit, false, "another subclass"},
    Rule{0x00021000, dom0op, false, "the subclass alone is not enough"},
    Rule{0x00020000, min, false, "no subclass enables nothing"},
    Rule{0x0000f000, min, false, "no class enables nothing"},
    Rule{0x00021000 | 0x00082000, credit, true, "class and subclass are tested apart: the cross product"},
    Rule{0x00021000 | 0x00082000, hvm_entry, true, "and the other way round"},
    Rule{0x00021000 | 0x00082000, verbose, false, "but no third subclass"},
    Rule{0x00021fff, min, true, "the minor number takes no part"},
    Rule{0x00021004, verbose, false, "the minor number takes no part"},
    Rule{0, gen, false, "nothing"},
};

TEST(TraceMask, LetsThroughWhatTheRulesSay)
{
    for (Rule const& rule : rules)
        EXPECT_EQ(passes(rule.mask, rule.event), rule.passes)
            << std::hex << rule.mask << " and " << rule.event << ": " << rule.why;
}

TEST(TraceMask, ThePreparedFormSaysTheSame)
{
    for (Rule const& rule : rules)
        EXPECT_EQ((place_of(rule.event) & passing(rule.mask)) != 0, rule.passes)
            << std::hex << rule.mask << " and " << rule.event << ": " << rule.why;
    std::minstd_rand random{1};
    unsigned let_through{0};
    for (unsigned i = 0; i < 20'000; ++i) {
        auto const mask = static_cast<std::uint32_t>(random() << 8 ^ random());
        for (EventInfo const& info : event_table) {
            auto const number = static_cast<std::uint32_t>(info.event);
            ASSERT_EQ((place_of(number) & passing(mask)) != 0, passes(mask, number))
                << std::hex << mask << ' ' << number;
            let_through += passes(mask, number) ? 1u : 0u;
        }
    }
    EXPECT_GT(let_through, 10'000u);
}

TEST(TraceEvents, EveryRunStateChangeIsDecodedFromItsNumber)
{
    for (unsigned from = 0; from < 4; ++from)
        for (unsigned to = 0; to < 4; ++to) {
            auto const number = runstate_event(static_cast<RunStateCode>(from), static_cast<RunStateCode>(to));
            auto const change = decode_runstate(number);
            ASSERT_TRUE(change.has_value());
            EXPECT_EQ(static_cast<unsigned>(change->from), from);
            EXPECT_EQ(static_cast<unsigned>(change->to), to);
            ASSERT_NE(find_event(number), nullptr);
            EXPECT_EQ(find_event(number)->name, "runstate_change");
        }
    EXPECT_FALSE(decode_runstate(static_cast<std::uint32_t>(Event::continue_running)).has_value());
    EXPECT_EQ(find_event(0x00021003), nullptr);
}

} // namespace
} // namespace hv::sched::trace
