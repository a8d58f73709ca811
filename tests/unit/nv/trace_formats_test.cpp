#include "tools/nv/trace_formats.hpp"

#include "sched/trace/events.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <sstream>

namespace hv::nv {
namespace {

std::vector<std::string> lines()
{
    std::istringstream in{formats_file()};
    std::vector<std::string> result;
    for (std::string line; std::getline(in, line);)
        if (!line.starts_with('#'))
            result.push_back(line);
    return result;
}

TEST(Formats, NamesEventsAndTheirFields)
{
    std::vector<std::string> const all = lines();
    for (char const* const wanted : {
             "0x00021011 CPU%(cpu)d  %(tsc)d (+%(reltsc)8d)  running_to_runnable [ dom:vcpu = 0x%(1)08x ]",
             "0x00021311 CPU%(cpu)d  %(tsc)d (+%(reltsc)8d)  offline_to_runnable [ dom:vcpu = 0x%(1)08x ]",
             "0x00022001 CPU%(cpu)d  %(tsc)d (+%(reltsc)8d)  csched:sched_tasklet",
             "0x00022004 CPU%(cpu)d  %(tsc)d (+%(reltsc)8d)  csched:stolen_vcpu [ pcpu = %(1)d, dom = %(2)d, vcpu = "
             "%(3)d ]",
             "0x0002800e CPU%(cpu)d  %(tsc)d (+%(reltsc)8d)  switch_infprev [ dom = %(1)d, vcpu = %(2)d, ns = %(3)d ]",
         })
        EXPECT_NE(std::ranges::find(all, wanted), all.end()) << wanted;
}

// What the tool does with a line: the number as Python reads it, then the template as Python's % takes it.
TEST(Formats, HasALineForEachNumberThatTheKernelWritesAndTheDefault)
{
    std::set<std::uint32_t> numbers;
    for (std::string const& line : lines()) {
        char* end{nullptr};
        auto const number = static_cast<std::uint32_t>(std::strtoul(line.c_str(), &end, 16));
        EXPECT_EQ(*end, ' ') << line;
        EXPECT_TRUE(numbers.insert(number).second) << line;
        for (std::size_t at = line.find('%'); at != line.npos; at = line.find('%', at + 1))
            EXPECT_EQ(line[at + 1], '(') << line;
    }
    EXPECT_TRUE(numbers.contains(0));
    EXPECT_EQ(numbers.size(), 1 + sched::trace::event_table.size() - 1 + 16);
    for (sched::trace::EventInfo const& info : sched::trace::event_table)
        EXPECT_TRUE(numbers.contains(static_cast<std::uint32_t>(info.event))) << info.name;
}

} // namespace
} // namespace hv::nv
