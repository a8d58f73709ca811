#include "boot/console/affinity_text.hpp"

#include "arch/host/machine_shape.hpp"
#include "tests/support/literals.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>

namespace hv::console {
namespace {

// 16 pCPUs, node 0 = 0-7, node 1 = 8-15.
class AffinityText : public ::testing::Test {
protected:
    arch::MachineShape shape{arch::MachineShape::regular(2, 8, 1), 2};

    // The set as it is printed, or "error".
    std::string answer(std::string_view text)
    {
        CpuMask cpus;
        auto const notes = parse_affinity(text, shape.topology(), cpus);
        if (!notes)
            return "error";
        ignored = notes->ignored;
        std::array<char, 256> buffer{};
        BufferSink sink{buffer};
        write_map(sink, cpus, 16);
        return std::string{sink.text()};
    }

    std::string complaint(std::string_view text)
    {
        CpuMask cpus;
        auto const notes = parse_affinity(text, shape.topology(), cpus);
        std::array<char, 256> buffer{};
        BufferSink sink{buffer};
        if (!notes)
            describe(notes.error(), sink);
        return std::string{sink.text()};
    }

    std::string ignored;
};

TEST_F(AffinityText, EveryVectorOfTheReferenceIsMet)
{
    std::array const vectors{
        std::pair{"all", "all"},
        std::pair{"nodes:0-1", "all"},
        std::pair{"0", "0"},
        std::pair{"node:1", "8-15"},
        std::pair{"0-3,5,^1", "0,2-3,5"},
        std::pair{"nodes:0-1,^node:1", "0-7"},
        std::pair{"^1,0-3", "0-3"},
        std::pair{"node:0,^node:1", "0-7"},
        std::pair{"^0", "none"},
        std::pair{"node:1,^8", "9-15"},
        std::pair{"all,^7", "0-6,8-15"},
        std::pair{"1,node:1,^10", "1,8-9,11-15"},
        std::pair{"all,^nodes:0", "8-15"},
        std::pair{"all,^nodes:0,all", "all"},
        std::pair{"nodes:all", "all"},
        std::pair{"node:7", "none"},
        std::pair{"16", "none"},
        std::pair{"14-20", "14-15"},
        std::pair{"1,,2", "1-2"},
        std::pair{"1-15", "1-15"},
        std::pair{"^all", "error"},
        std::pair{"^nodes:all", "error"},
        std::pair{"0-", "error"},
        std::pair{"3-1", "error"},
        std::pair{"foo", "error"},
        std::pair{"1x", "error"},
    };
    for (auto const& [text, wanted] : vectors)
        EXPECT_EQ(answer(text), wanted) << text;
}

TEST_F(AffinityText, BlanksAroundItemsAndTheirPartsDoNotMatter)
{
    EXPECT_EQ(answer(" 0 , 2\t"), "0,2");
    EXPECT_EQ(answer("0 - 3, ^ 1"), "0,2-3");
    EXPECT_EQ(answer("node: 1 ,^ node:1"), "none");
    EXPECT_EQ(answer("1 2"), "error");
}

TEST_F(AffinityText, SignsAndNumbersThatNoWordHoldsAreRefused)
{
    for (char const* const text :
         {"-1", "+1", "0-+3", "18446744073709551616", "--", "-", "^", "^^1", "node:", "nodes:^1", "0x3"})
        EXPECT_EQ(answer(text), "error") << text;
}

TEST_F(AffinityText, ARangeUpToTheLargestNumberEndsAtOnce)
{
    EXPECT_EQ(answer("3-18446744073709551615"), "3-15");
    EXPECT_EQ(answer("18446744073709551615"), "none");
    EXPECT_EQ(answer("nodes:1-18446744073709551615"), "8-15");
}

TEST_F(AffinityText, WhatTheMachineLacksIsNamed)
{
    EXPECT_EQ(answer("0,14-20,99"), "0,14-15");
    EXPECT_EQ(ignored, "14-20");
    EXPECT_EQ(answer("0,node:2"), "0");
    EXPECT_EQ(ignored, "node:2");
    EXPECT_EQ(answer("0-15,node:1"), "all");
    EXPECT_EQ(ignored, "");
}

TEST_F(AffinityText, AnErrorNamesTheItemAndTheFix)
{
    EXPECT_EQ(complaint("0, 1x ,2"),
              "'1x': expected a number, a range like 0-3, all, or node:N; ^ in front takes away");
    EXPECT_EQ(complaint("5-2"), "'5-2': the range ends before it begins; give the lower number first");
    EXPECT_EQ(complaint("0,^all"), "'^all': all cannot be taken away; leave it out, or name what is to stay");
}

TEST_F(AffinityText, AnErrorLeavesTheSetAlone)
{
    CpuMask cpus{CpuMask::of(test::cpu(9))};
    EXPECT_FALSE(parse_affinity("0-3,foo", shape.topology(), cpus));
    EXPECT_EQ(cpus, CpuMask::of(test::cpu(9)));
}

TEST_F(AffinityText, NodesHaveTheSameGrammarButAllMeansEveryNodeThatThereMayBe)
{
    NodeMask nodes;
    ASSERT_TRUE(parse_nodes("0-1,^0", shape.topology(), nodes));
    EXPECT_EQ(nodes, NodeMask::of(NodeId{1}));
    ASSERT_TRUE(parse_nodes("all", shape.topology(), nodes));
    EXPECT_EQ(nodes, NodeMask::all());
    ASSERT_TRUE(parse_nodes("0-1", shape.topology(), nodes));
    EXPECT_EQ(nodes, NodeMask::first_n(2));
    EXPECT_EQ(parse_nodes("0,5", shape.topology(), nodes)->ignored, "5");
    ASSERT_TRUE(parse_nodes("all,^1", shape.topology(), nodes));
    EXPECT_EQ(nodes, NodeMask::of(NodeId{0}));
    ASSERT_TRUE(parse_nodes("all,^0-1", shape.topology(), nodes));
    EXPECT_TRUE(nodes.empty());
    EXPECT_FALSE(parse_nodes("^all", shape.topology(), nodes));
}

TEST(MapText, AMachineOfOnePcpuIsAll)
{
    std::array<char, 16> buffer{};
    BufferSink sink{buffer};
    write_map(sink, CpuMask::of(CpuId{0}), 1);
    EXPECT_EQ(sink.text(), "all");
}

} // namespace
} // namespace hv::console
