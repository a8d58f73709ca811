// docs/regressions.md against the tests: every entry has a row, every test that a row names exists, every test is in a
// row, and a row's verdict is what the names of its tests say.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace hv {
namespace {

constexpr unsigned entries = 100;

struct Row {
    unsigned number;
    std::vector<std::string> cells;
    std::set<std::string> tests;
};

std::vector<std::string> split(std::string const& line)
{
    std::vector<std::string> cells;
    for (std::size_t from = 1, bar = 0; (bar = line.find('|', from)) != std::string::npos; from = bar + 1) {
        std::string cell{line.substr(from, bar - from)};
        cell.erase(0, cell.find_first_not_of(' '));
        cell.erase(cell.find_last_not_of(' ') + 1);
        cells.push_back(cell);
    }
    return cells;
}

// Every `E12_Name` in backquotes.
std::set<std::string> tests_in(std::string const& cell)
{
    std::set<std::string> tests;
    for (std::size_t open = 0; (open = cell.find("`E", open)) != std::string::npos;) {
        std::size_t const close{cell.find('`', open + 1)};
        std::string const word{cell.substr(open + 1, close - open - 1)};
        if (word.find('_') != std::string::npos)
            tests.insert(word);
        open = close + 1;
    }
    return tests;
}

std::vector<Row> table()
{
    char const* const root{std::getenv("NV_ROOT")};
    std::ifstream in{std::filesystem::path{root == nullptr ? "." : root} / "docs/regressions.md"};
    std::vector<Row> rows;
    for (std::string line; std::getline(in, line);) {
        if (line.size() < 3 || line[0] != '|' || std::isdigit(static_cast<unsigned char>(line[2])) == 0)
            continue;
        auto cells = split(line);
        rows.push_back({.number = static_cast<unsigned>(std::stoul(cells[0])),
                        .cells = cells,
                        .tests = cells.size() > 3 ? tests_in(cells[3]) : std::set<std::string>{}});
    }
    return rows;
}

std::set<std::string> existing_tests()
{
    std::set<std::string> names;
    testing::UnitTest const& all{*testing::UnitTest::GetInstance()};
    for (int suite = 0; suite < all.total_test_suite_count(); ++suite) {
        testing::TestSuite const& one{*all.GetTestSuite(suite)};
        for (int i = 0; std::string{one.name()} == "Regression" && i < one.total_test_count(); ++i)
            names.insert(one.GetTestInfo(i)->name());
    }
    return names;
}

bool ends_with(std::string const& text, std::string const& end) { return text.ends_with(end); }

TEST(RegressionTable, HasOneRowForEachEntry)
{
    auto const rows = table();
    ASSERT_EQ(rows.size(), entries) << "docs/regressions.md; run from the repository's root, or set NV_ROOT to it";
    for (unsigned i = 0; i < entries; ++i) {
        EXPECT_EQ(rows[i].number, i + 1);
        EXPECT_EQ(rows[i].cells.size(), 5u) << "row " << i + 1;
        for (std::string const& cell : rows[i].cells)
            EXPECT_FALSE(cell.empty()) << "row " << i + 1;
    }
}

TEST(RegressionTable, NamesTheTestsThatExistAndNoOthers)
{
    std::set<std::string> named;
    for (Row const& row : table()) {
        std::string const prefix{"E" + std::string(row.number < 10 ? "0" : "") + std::to_string(row.number) + "_"};
        for (std::string const& test : row.tests)
            EXPECT_TRUE(test.starts_with(prefix)) << test << " in row " << row.number;
        named.insert(row.tests.begin(), row.tests.end());
    }
    EXPECT_EQ(named, existing_tests());
}

TEST(RegressionTable, GivesTheVerdictThatTheNamesOfTheTestsSay)
{
    for (Row const& row : table()) {
        std::set<std::string> said;
        for (std::string const& test : row.tests)
            said.insert(ends_with(test, "_ShownByCredit") ? "shown by credit"
                        : ends_with(test, "_Safe")        ? "safe"
                                                          : "absent");
        std::string const& verdict{row.cells.back()};
        if (said.empty()) {
            EXPECT_TRUE(verdict == "absent" || verdict == "not expressible") << "row " << row.number;
            EXPECT_EQ(row.cells[3].starts_with("because"), verdict == "not expressible") << "row " << row.number;
            continue;
        }
        std::string joined;
        for (std::string const& one : said)
            joined += (joined.empty() ? "" : ", ") + one;
        EXPECT_EQ(verdict, joined) << "row " << row.number;
    }
}

} // namespace
} // namespace hv
