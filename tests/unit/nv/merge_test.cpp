// Results of sweeps become one table; what is missing, damaged, outdated or contradicts itself is said.
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/merge.hpp"
#include "tools/nv/sweep_results.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <unistd.h>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

// Two folders of one sweep: scenario, vms, policy and three seeds, with figures that follow from the point.
class MergePlace : public testing::Test {
protected:
    MergePlace() : place{fs::path{testing::TempDir()} / fmt::format("merge-{}", ::getpid())}
    {
        for (char const* const folder : {"a", "b"}) {
            fs::create_directories(place / folder);
            replace_file(place / folder / SweepFolder::file_name, layout().text());
        }
    }
    ~MergePlace() override { fs::remove_all(place); }

    static SweepFolder layout()
    {
        return {.name = "m",
                .program = "p",
                .axes = {{"scenario", {"s"}},
                         {"vms", {"2", "10"}},
                         {"policy", {"x", "y:a=1,b=2"}},
                         {"seed", {"1", "2", "10"}}},
                .scenarios = {"k"}};
    }
    static SweepResult result(std::string const& vms, std::string const& policy, std::string const& seed)
    {
        double const jobs{std::stod(vms) * 100 + std::stod(seed)};
        return {.identity = {.program = "p",
                             .scenario = "k",
                             .names = {"scenario", "vms", "policy", "seed"},
                             .values = {"s", vms, policy, seed}},
                .figures = {{"throughput", jobs}},
                .run = fmt::format(R"({{"guests": {{"wakes_per_s": {}}}}})", jobs * 2)};
    }
    // All of them, by turns into both folders.
    void fill() const
    {
        bool first{true};
        for (char const* const vms : {"2", "10"})
            for (char const* const policy : {"x", "y:a=1,b=2"})
                for (char const* const seed : {"1", "2", "10"})
                    keep_result(place / ((first = !first) ? "a" : "b"), result(vms, policy, seed));
    }
    [[nodiscard]] Merged merged(std::vector<std::string> figures = {}, std::vector<std::string> only = {}) const
    {
        return merge_folders({.folders = {(place / "a").string(), (place / "b").string()},
                              .figures = std::move(figures),
                              .only = std::move(only)});
    }
    [[nodiscard]] std::string refusal(std::vector<std::string> figures, std::vector<std::string> only) const
    {
        try {
            static_cast<void>(merged(std::move(figures), std::move(only)));
        } catch (Error const& error) {
            return error.what();
        }
        return "";
    }

    fs::path const place;
};

TEST_F(MergePlace, RowIsTheMeanOfItsSeedsWhereverTheyLie)
{
    fill();
    Merged const all{merged({"throughput", "guests.wakes_per_s"})};
    EXPECT_TRUE(all.is_whole());
    EXPECT_EQ(all.runs, 12u);
    ASSERT_EQ(all.rows.size(), 4u);
    EXPECT_EQ(all.rows[1].values, (std::vector<std::string>{"s", "2", "y:a=1,b=2"}));
    EXPECT_EQ(all.rows[1].seeds, (std::vector<std::string>{"1", "2", "10"})) << "by number";
    EXPECT_NEAR(all.rows[1].spread(0)->mean, 200 + 13 / 3.0, 1e-9);
    EXPECT_NEAR(all.rows[1].spread(0)->sd, 4.932882862, 1e-9);
    EXPECT_NEAR(all.rows[3].spread(1)->mean, 2 * (1000 + 13 / 3.0), 1e-9);
    EXPECT_EQ(merge_text(all), "m: 12 of 12 runs, 4 points, mean +- deviation of 3 seeds\n"
                               "scenario s\n\n"
                               "vms  policy        throughput   guests.wakes_per_s\n"
                               "                       jobs/s\n"
                               "2    x           204.3 +- 4.9   408.6667 +- 9.8658\n"
                               "2    y:a=1,b=2   204.3 +- 4.9   408.6667 +- 9.8658\n"
                               "10   x          1004.3 +- 4.9  2008.6667 +- 9.8658\n"
                               "10   y:a=1,b=2  1004.3 +- 4.9  2008.6667 +- 9.8658\n");
    EXPECT_NE(merge_csv(all).find("\ns,2,\"y:a=1,b=2\",3,204.33333333333334,"), std::string::npos) << merge_csv(all);
    Json const json{parse_json(merge_json(all), "json")};
    EXPECT_EQ(json.find("rows")->items.size(), 4u);
}

TEST_F(MergePlace, OrderOfFoldersAndDoublesMakeNoDifference)
{
    fill();
    std::string const text{merge_json(merged())};
    keep_result(place / "a", result("2", "x", "1"));
    keep_result(place / "b", result("2", "x", "1"));
    EXPECT_EQ(merge_json(merged()), text);
    Merged const turned{merge_folders({.folders = {(place / "b").string(), (place / "a").string()}})};
    EXPECT_EQ(merge_json(turned), text);
}

TEST_F(MergePlace, SaysWhatIsMissingFailedDamagedOrOfAnotherVersion)
{
    fill();
    fs::remove(result_file(place / "a", result("2", "x", "2").identity.key()));
    fs::remove(result_file(place / "b", result("2", "x", "2").identity.key()));
    SweepResult failed{result("10", "x", "10")};
    failed.failed = "assertion failed: a < b";
    failed.figures.clear();
    keep_result(place / "a", failed);
    fs::remove(result_file(place / "b", failed.identity.key()));
    SweepResult other{result("2", "x", "1")};
    other.identity.program = "another program";
    keep_result(place / "a", other);
    write_text(place / "a" / "junk.json", "{}");
    Merged const all{merged()};
    EXPECT_EQ(all.missing, std::vector<std::string>{"scenario s, vms 2, policy x, seed 2"});
    EXPECT_EQ(all.failed, std::vector<std::string>{"scenario s, vms 10, policy x, seed 10: assertion failed: a < b"});
    EXPECT_EQ(all.outdated, 1u);
    ASSERT_EQ(all.damaged.size(), 1u);
    EXPECT_NE(all.damaged[0].find("junk.json: is no result of a sweep"), std::string::npos);
    EXPECT_FALSE(all.is_whole());
    EXPECT_EQ(all.rows[0].seeds, (std::vector<std::string>{"1", "10"}));
    EXPECT_TRUE(merge_text(all).starts_with("m: 10 of 12 runs"));
}

TEST_F(MergePlace, FoldersThatContradictEachOtherGiveNoFigure)
{
    fill();
    SweepFolder of_another{layout()};
    of_another.program = "q";
    replace_file(place / "b" / SweepFolder::file_name, of_another.text());
    SweepResult changed{result("2", "x", "1")};
    changed.identity.program = "q";
    keep_result(place / "b", changed);
    EXPECT_TRUE(merged().conflicts.empty()) << "another program, the same figures";
    changed.run = R"({"guests": {"wakes_per_s": 1}})";
    keep_result(place / "b", changed);
    Merged const all{merged()};
    ASSERT_EQ(all.conflicts.size(), 1u);
    EXPECT_TRUE(all.conflicts[0].starts_with("scenario s, vms 2, policy x, seed 1: ")) << all.conflicts[0];
    EXPECT_EQ(all.rows[0].seeds.size(), 2u);
    EXPECT_FALSE(all.is_whole());
}

TEST_F(MergePlace, RefusesWhatNobodyHas)
{
    fill();
    EXPECT_TRUE(
        refusal({"guests.colour"}, {}).starts_with("--figure guests.colour: no run has it; there are throughput"));
    EXPECT_EQ(refusal({}, {"vms=3"}), "--only vms=3: no such value; there are 2, 10");
    EXPECT_EQ(refusal({}, {"colour=3"}),
              "--only colour=3: give AXIS=VALUE; the sweep varies scenario, vms, policy, seed");
    EXPECT_EQ(merged({}, {"vms=10", "seed=2"}).runs, 2u);
    SweepFolder other{layout()};
    other.name = "n";
    replace_file(place / "b" / SweepFolder::file_name, other.text());
    EXPECT_TRUE(refusal({}, {}).ends_with("has the sweep \"n\", the folders before \"m\"; merge them one by one"));
}

TEST_F(MergePlace, PageHasAPlotWithAPointForEachMean)
{
    fill();
    Merged const all{merged({"throughput"})};
    std::string const page{merge_html(all, "")};
    EXPECT_NE(page.find("<h2>work done, jobs/s</h2>"), std::string::npos);
    EXPECT_NE(page.find("<title>y:a=1,b=2, vms 10: 1004.3 +- 4.9</title>"), std::string::npos);
    EXPECT_NE(page.find("<title>x, vms 2: 204.3 +- 4.9</title>"), std::string::npos);
    EXPECT_NE(merge_html(all, "policy").find("<title>10, policy x: 1004.3 +- 4.9</title>"), std::string::npos);
    EXPECT_THROW(static_cast<void>(merge_html(all, "colour")), Error);
}

} // namespace

} // namespace hv::nv
