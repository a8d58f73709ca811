#include "tools/nv/trace_dump.hpp"

#include "tests/unit/nv/trace_sample.hpp"
#include "tools/nv/errors.hpp"

#include <gtest/gtest.h>

namespace hv::nv {
namespace {

using sample::make;

std::string line(Record record)
{
    record.pcpu = 3;
    return dump_line(record, 1.5);
}

TEST(TraceDump, SaysEachWordByItsMeaning)
{
    EXPECT_EQ(line(make(0x21011, 1, {0x0001'0002})), "   1.500000000 pCPU 3   running_to_runnable d1v2");
    EXPECT_EQ(line(make(0x21101, 1, {0x7fff'0003})), "   1.500000000 pCPU 3   runnable_to_running idle3");
    EXPECT_EQ(line(make(0x2800a, 1, {1, 2, 32767, 3})), "   1.500000000 pCPU 3   sched_switch d1v2 idle3");
    EXPECT_EQ(line(make(0x22004, 1, {5, 1, 0})), "   1.500000000 pCPU 3   csched:stolen_vcpu pCPU 5 d1v0");
    EXPECT_EQ(line(make(0x22e02, 1, {0x0001'0000, 0xffff'ffff, 7, 1})),
              "   1.500000000 pCPU 3   numavisor:credit d1v0 -1 7 1");
}

TEST(TraceDump, ReadsTheSwappedHalvesOfALoss)
{
    EXPECT_EQ(line(make(0x1f001, 1, {106, 0x0001'0002, 0, 0})), "   1.500000000 pCPU 3   lost_records 106 d2v1 0 0");
}

TEST(TraceDump, ShowsUnknownEventsAndWordsAsNumbers)
{
    EXPECT_EQ(line(make(0x0008'1234, 1, {10})), "   1.500000000 pCPU 3   0x00081234 0xa");
    EXPECT_EQ(line(make(0x28001, 1, {1, 9})), "   1.500000000 pCPU 3   domain_add d1 0x9");
    EXPECT_EQ(line(make(0x1f002, 1, {10, 11})), "   1.500000000 pCPU 3   wrap_buffer");
}

TEST(TraceDump, FiltersByTimePcpuVcpuAndEvent)
{
    Record record = make(0x21011, 1, {0x0001'0002});
    record.pcpu = 3;
    auto const shown = [&](DumpFilter const& filter) { return filter.passes(record, 1.5); };
    DumpFilter filter;
    EXPECT_TRUE(shown(filter));
    filter.from = 1.6;
    EXPECT_FALSE(shown(filter));
    filter = {};
    filter.to = 1.4;
    EXPECT_FALSE(shown(filter));
    filter = {};
    filter.pcpu = 2;
    EXPECT_FALSE(shown(filter));
    filter = {};
    for (auto const& [name, is_shown] : {std::pair{"d1", true}, {"d1v2", true}, {"d1v1", false}, {"d2", false}}) {
        filter.vcpu = parse_vcpu_name(name);
        EXPECT_EQ(shown(filter), is_shown) << name;
    }
    for (auto const& [name, is_shown] : {std::pair{"runstate_change", true},
                                         {"running_to_runnable", true},
                                         {"0x21011", true},
                                         {"135185", true},
                                         {"running_to_blocked", false},
                                         {"sched_switch", false}}) {
        filter = {};
        set_event(filter, name);
        EXPECT_EQ(shown(filter), is_shown) << name;
    }
    EXPECT_THROW(set_event(filter, "no_such_event"), Error);
}

TEST(TraceDump, FindsAVcpuInTwoWords)
{
    DumpFilter filter;
    filter.vcpu = parse_vcpu_name("d2v1");
    EXPECT_TRUE(filter.passes(make(0x2800a, 1, {1, 0, 2, 1}), 0));
    EXPECT_FALSE(filter.passes(make(0x2800a, 1, {1, 1, 2, 0}), 0));
}

} // namespace
} // namespace hv::nv
