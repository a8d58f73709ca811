#include "tools/nv/ab_figures.hpp"
#include "tools/nv/ab_history.hpp"
#include "tools/nv/ab_key.hpp"
#include "tools/nv/ab_report.hpp"
#include "tools/nv/ab_side.hpp"
#include "tools/nv/ab_statistics.hpp"
#include "tools/nv/ab_suite.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>

namespace hv::nv {

namespace {

std::filesystem::path ab_root()
{
    char const* const root = std::getenv("NV_ROOT"); // NOLINT(concurrency-mt-unsafe)
    return root == nullptr ? "." : root;
}

AbRow ab_row(std::string_view figure, std::vector<double> base, std::vector<double> change)
{
    AbRow row{.name = "x"};
    row.figure = static_cast<std::size_t>(std::ranges::find(ab_figures, figure, &AbFigure::key) - ab_figures.begin());
    row.base = std::move(base);
    row.change = std::move(change);
    measure(row);
    return row;
}

std::vector<double> shifted(std::vector<double> values, double by)
{
    for (double& value : values)
        value += by;
    return values;
}

TEST(AbStatistics, GivesTheTailsOfTextbooks)
{
    EXPECT_NEAR(student_tail(12.706, 1), 0.05, 1e-5);
    EXPECT_NEAR(student_tail(4.303, 2), 0.05, 1e-5);
    EXPECT_NEAR(student_tail(2.365, 7), 0.05, 1e-4);
    EXPECT_NEAR(student_tail(3.499, 7), 0.01, 1e-5);
    EXPECT_DOUBLE_EQ(student_tail(0, 7), 1);
}

TEST(AbStatistics, SeesTheSameShiftThroughScatterThatIsCommonToBothSides)
{
    std::vector<double> const base{100, 250, 30, 77, 140, 9, 55, 61};
    PairedTest const test{paired_test(base, shifted(base, 2))};
    EXPECT_DOUBLE_EQ(test.difference, 2);
    EXPECT_EQ(test.p, 0);
    EXPECT_TRUE(test.one_sign);
}

TEST(AbStatistics, TakesScatterOfBothSignsForChance)
{
    PairedTest const test{paired_test(std::vector<double>{1, 2, 3, 4}, std::vector<double>{2, 1, 4, 3.5})};
    EXPECT_GT(test.p, 0.5);
    EXPECT_FALSE(test.one_sign);
}

TEST(AbStatistics, HolmAsksMoreOfManyThanOfOne)
{
    EXPECT_EQ(holm(std::vector<double>{0.009}, 0.01), std::vector<bool>{true});
    EXPECT_EQ(holm(std::vector<double>{0.009, 0.5}, 0.01), (std::vector<bool>{false, false}));
    EXPECT_EQ(holm(std::vector<double>{0.004, 0.5, 0.001}, 0.01), (std::vector<bool>{true, false, true}));
}

TEST(AbVerdicts, KnowWhichWayIsBetter)
{
    std::vector<double> const base{100, 101, 102, 103};
    std::vector<AbRow> rows{ab_row("throughput", base, shifted(base, -10)),
                            ab_row("wait_p99", base, shifted(base, -30)), ab_row("throughput", base, base)};
    judge_rows(rows);
    EXPECT_EQ(rows[0].verdict, AbVerdict::worse);
    EXPECT_EQ(rows[0].what().key, "throughput");
    EXPECT_EQ(rows[1].verdict, AbVerdict::better);
    EXPECT_EQ(rows[2].verdict, AbVerdict::same);
}

TEST(AbVerdicts, PassOverWhatIsSureButTooSmallToMatter)
{
    std::vector<double> const base{1000, 1001, 1002, 1003};
    std::vector<AbRow> rows{ab_row("throughput", base, shifted(base, -5))};
    judge_rows(rows);
    EXPECT_EQ(rows[0].verdict, AbVerdict::same);
}

TEST(AbVerdicts, PassOverWhatOneSeedContradicts)
{
    std::vector<double> const base(8, 1000.0);
    std::vector<double> change(8, 900.0);
    change[3] = 1001;
    std::vector<AbRow> rows{ab_row("throughput", base, change)};
    judge_rows(rows);
    EXPECT_EQ(rows[0].verdict, AbVerdict::same);
    EXPECT_TRUE(looks_different(rows[0]));
}

TEST(AbVerdicts, PutTheWorstFirst)
{
    std::vector<double> const base{100, 101, 102, 103};
    std::vector<AbRow> rows{ab_row("throughput", base, base), ab_row("throughput", base, shifted(base, 9)),
                            ab_row("throughput", base, shifted(base, -5)),
                            ab_row("throughput", base, shifted(base, -7))};
    judge_rows(rows);
    EXPECT_DOUBLE_EQ(rows[0].test.difference, -7);
    EXPECT_DOUBLE_EQ(rows[1].test.difference, -5);
    EXPECT_EQ(rows[2].verdict, AbVerdict::better);
}

TEST(AbKey, DoesNotSeeComments)
{
    std::string const plain{without_comments("#define A 1\nint f(int a)\n{\n    return a;\n}\n")};
    EXPECT_EQ(
        without_comments("// what\n#define A 1 // one\nint f(int a) /* in\nand out */\n{\n  return a; // it\n}\n"),
        plain);
    EXPECT_NE(without_comments("#define A 1\nint f(int a)\n{\n    return -a;\n}\n"), plain);
}

TEST(AbKey, SeesWhatOnlyLooksLikeAComment)
{
    EXPECT_NE(without_comments("auto s = \"a // b\";"), without_comments("auto s = \"a // c\";"));
    EXPECT_NE(without_comments("auto s = R\"x(/* 1 */)x\";"), without_comments("auto s = R\"x(/* 2 */)x\";"));
    EXPECT_NE(without_comments("char c = '\"'; // b\nint d;"), without_comments("char c = '\"'; int e;"));
    EXPECT_NE(without_comments("int a = 1'000; /* x */ int b;"), without_comments("int a = 1'000; int c;"));
}

TEST(AbKey, KeepsPiecesApart)
{
    KeyHash one, other;
    one.add("ab");
    one.add("c");
    other.add("a");
    other.add("bc");
    EXPECT_NE(one.hex(), other.hex());
    EXPECT_EQ(one.hex().size(), 32U);
}

TEST(AbSuite, HasTheTableAndEveryFamilyAndIsTheSameEachTime)
{
    AbSuite const suite{make_suite({}, ab_root())};
    std::map<std::string, int> families;
    for (AbCell const& cell : suite.cells) {
        ++families[cell.family];
        std::string const text{suite.text_of(cell, 2)};
        EXPECT_EQ(text, suite.text_of(cell, 2));
        EXPECT_NE(text, suite.text_of(cell, 3)) << cell.name;
        Scenario const scenario{parse_scenario(text, cell.name)};
        EXPECT_EQ(scenario.seed, 2U);
        EXPECT_EQ(scenario.duration_ns, 10'000'000'000U);
    }
    for (char const* const row : {"jbb", "memory", "fork"})
        EXPECT_EQ(families[row], 9) << row;
    for (char const* const family : {"weights", "caps", "latency", "theft", "starvation", "home"})
        EXPECT_GE(families[family], 3) << family;
}

TEST(AbSuite, RefusesAPatternThatNothingMatches)
{
    EXPECT_THROW(static_cast<void>(make_suite({.pattern = "no-such-cell"}, ab_root())), Error);
}

TEST(AbFigures, SharesGoByWeightUpToWhatSomebodyWants)
{
    auto const shares = [](std::string_view domains) {
        return fair_shares(parse_scenario(
            R"({"schema": "credit-scenario/2", "name": "s", "seed": 1, "duration_ns": 1000000000, "machine": {"cpus": [
            {"cpu": 0, "node": 0, "socket": 0, "core": 0}, {"cpu": 1, "node": 0, "socket": 0, "core": 1}]}, "domains": [)" +
                std::string{domains} + "]}",
            "s"));
    };
    constexpr auto hog = R"({"initial_cpu": 0, "workload": {"kind": "hog"}})";
    auto const domain = [&](int id, int weight, int cap, int vcpus) {
        std::string text{hog};
        for (int i = 1; i < vcpus; ++i)
            text += std::string{", "} + hog;
        return "{\"id\": " + std::to_string(id) + ", \"weight\": " + std::to_string(weight) +
               ", \"cap\": " + std::to_string(cap) + ", \"vcpus\": [" + text + "]}";
    };
    auto const two = shares(domain(1, 256, 0, 2) + "," + domain(2, 512, 0, 2));
    EXPECT_NEAR(two[0], 2.0 / 3, 1e-9);
    EXPECT_NEAR(two[1], 4.0 / 3, 1e-9);
    // One vCPU cannot use more than a pCPU, and a cap leaves the rest to the other.
    auto const full = shares(domain(1, 256, 0, 2) + "," + domain(2, 4096, 0, 1));
    EXPECT_NEAR(full[1], 1, 1e-9);
    auto const capped = shares(domain(1, 256, 30, 2) + "," + domain(2, 256, 0, 2));
    EXPECT_NEAR(capped[0], 0.3, 1e-9);
    EXPECT_NEAR(capped[1], 1.7, 1e-9);
}

TEST(AbFigures, AreKeptAsTheyAre)
{
    AbValues values{};
    values[0] = 1.0 / 3;
    values[5] = -1e-300;
    EXPECT_EQ(values_from(values_text(values), "f"), values);
    EXPECT_THROW(static_cast<void>(values_from("throughput 1", "f")), Error);
    EXPECT_THROW(static_cast<void>(values_from("nonsense 1\nend\n", "f")), Error);
}

TEST(AbSides, ArePoliciesWithParameters)
{
    AbSides const sides{resolve_sides({.base = "credit", .change = "numacredit:boost_us=1,precise=0"}, std::nullopt)};
    EXPECT_EQ(sides.base.policy, "credit");
    EXPECT_FALSE(sides.base.tree);
    EXPECT_EQ(sides.change.policy, "numacredit");
    EXPECT_EQ(sides.change.settings, (std::vector<std::string>{"boost_us=1", "precise=0"}));
}

TEST(AbSides, RefuseWhatTheyDoNotKnow)
{
    EXPECT_THROW(static_cast<void>(resolve_sides({.base = "credit:boost", .change = "credit"}, std::nullopt)), Error);
    EXPECT_THROW(static_cast<void>(resolve_sides({.base = "HEAD", .change = "credit"}, std::nullopt)), Error);
}

std::string saved(int number, std::string_view commit, double throughput, double home)
{
    return fmt::format(
        R"({{"schema": "numavisor-history/1", "commit": "{}", "number": {}, "subject": "a < b", "policy": "credit",
 "figures": [{{"family": "jbb", "figure": "throughput", "value": {}}}, {{"family": "jbb", "figure": "home", "value": {}}}]}})",
        commit, number, throughput, home);
}

TEST(AbHistory, ShowsCommitsInOrderAndWhatChangedMostFirst)
{
    std::filesystem::path const folder{std::filesystem::path{::testing::TempDir()} / "nv-ab-history"};
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    write_text(folder / "b-credit.json", saved(11, "bbb", 1000, 80));
    write_text(folder / "a-credit.json", saved(9, "aaa", 1001, 50));
    write_history_page(folder);
    std::string const page{read_text(folder / "index.html")};
    EXPECT_LT(page.find("aaa"), page.find("bbb"));
    EXPECT_LT(page.find("run time at home"), page.find("work done"));
    EXPECT_NE(page.find("a &lt; b"), std::string::npos);
    write_text(folder / "c.json", "{}");
    EXPECT_THROW(write_history_page(folder), Error);
    std::filesystem::remove_all(folder);
}

} // namespace

} // namespace hv::nv
