#include "tools/nv/trace_facts.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <unistd.h>

namespace hv::nv {
namespace {

using Ids = std::vector<std::uint16_t>;

class FactsFile {
public:
    explicit FactsFile(std::string_view text) { write_text(path_, text); }
    ~FactsFile() { std::filesystem::remove(path_); }
    FactsFile(FactsFile const&) = delete;
    FactsFile& operator=(FactsFile const&) = delete;

    [[nodiscard]] TraceFacts load() const { return load_trace_facts(path_); }
    [[nodiscard]] std::string refusal() const
    {
        try {
            static_cast<void>(load());
        } catch (Error const& error) {
            return error.what();
        }
        return "";
    }

private:
    std::filesystem::path path_{std::filesystem::temp_directory_path() / fmt::format("nv-facts-{}", ::getpid())};
};

std::string refusal(void (*apply)(TraceFacts&, std::string_view), std::string_view text)
{
    TraceFacts facts;
    facts.node_of = {0, 1};
    try {
        apply(facts, text);
    } catch (Error const& error) {
        return error.what();
    }
    return "";
}

TEST(TraceFacts, GivesAVcpusOwnPlaceBeforeItsDomains)
{
    FactsFile const file{R"({"clock_hz": 2400000000, "pcpu_nodes": [0, 0, 1, 1], "domains": [
        {"id": 1, "name": "g1", "home_nodes": [1], "hard_affinity": [3, 2], "vcpus": [{"index": 1, "home_nodes": [0]}]},
        {"id": 2}]})"};
    TraceFacts const facts = file.load();
    EXPECT_EQ(facts.clock_hz, 2'400'000'000u);
    EXPECT_EQ(facts.home_of(1, 0), Ids{1});
    EXPECT_EQ(facts.home_of(1, 1), Ids{0});
    EXPECT_EQ(facts.hard_of(1, 1), (Ids{2, 3}));
    EXPECT_FALSE(facts.home_of(2, 0).has_value());
    EXPECT_FALSE(facts.hard_of(7, 0).has_value());
    EXPECT_EQ(facts.names.at(1), "g1");
}

TEST(TraceFacts, NamesThePlaceOfABadFact)
{
    auto const refused = [](std::string_view text) { return FactsFile{text}.refusal(); };
    EXPECT_NE(refused(R"({"clock": 1})").find("$.clock: unknown key"), std::string::npos);
    EXPECT_NE(refused(R"({"domains": [{"id": 1, "home_nodes": [0]}]})").find("$.domains[0].home_nodes: needs"),
              std::string::npos);
    EXPECT_NE(refused(R"({"pcpu_nodes": [0], "domains": [{"id": 1, "home_nodes": [1]}]})").find("out of range"),
              std::string::npos);
    EXPECT_NE(refused(R"({"domains": [{"id": 1}, {"id": 1}]})").find("domain 1 is in the list twice"),
              std::string::npos);
}

TEST(TraceFacts, TakesNodesAndHomesFromOptions)
{
    TraceFacts facts;
    apply_nodes(facts, "2,1");
    EXPECT_EQ(facts.node_of, (Ids{0, 0, 1}));
    apply_homes(facts, "d1=0,d2v1=1,d3=1+0");
    EXPECT_EQ(facts.home_of(1, 5), Ids{0});
    EXPECT_FALSE(facts.home_of(2, 0).has_value());
    EXPECT_EQ(facts.home_of(2, 1), Ids{1});
    EXPECT_EQ(facts.home_of(3, 0), (Ids{0, 1}));
}

TEST(TraceFacts, RefusesOptionsThatSayNothing)
{
    for (char const* const text : {"", "4,", "0", "x", "4097", "4000,97", "-1"})
        EXPECT_NE(refusal(apply_nodes, text), "") << text;
    for (char const* const text : {"", "d1", "d1=", "d1=2", "1=0", "d1v=0", "d1=0,", "dx=0", "d70000=0"})
        EXPECT_NE(refusal(apply_homes, text), "") << text;
    TraceFacts no_nodes;
    EXPECT_THROW(apply_homes(no_nodes, "d1=0"), Error);
}

TEST(TraceFacts, ReadsRatesWithAndWithoutUnit)
{
    EXPECT_EQ(parse_hertz("1G"), 1'000'000'000u);
    EXPECT_EQ(parse_hertz("2.4G"), 2'400'000'000u);
    EXPECT_EQ(parse_hertz("2596M"), 2'596'000'000u);
    EXPECT_EQ(parse_hertz("1000000000"), 1'000'000'000u);
    for (char const* const text : {"", "G", "1T", "-1G", "0", "nan", "1e30", "1G "})
        EXPECT_THROW(static_cast<void>(parse_hertz(text)), Error) << text;
}

} // namespace
} // namespace hv::nv
