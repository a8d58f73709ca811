#include "tools/nv/trace_diff.hpp"

#include "tests/support/trace_figures.hpp"
#include "tests/unit/nv/trace_sample.hpp"
#include "tests/unit/nv/trace_sim.hpp"
#include "tests/unit/nv/trace_unpack.hpp"
#include "tools/nv/trace_answers.hpp"
#include "tools/nv/trace_diff_figures.hpp"
#include "tools/nv/trace_diff_report.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace hv::nv {
namespace {

using namespace sample;

// Without what only fills the ends of rings, which is not compared.
std::vector<Record> records_of_file(Bytes const& file)
{
    std::vector<Record> records;
    TraceStream stream{file};
    while (std::optional<Record> const record = stream.next())
        if (record->event != static_cast<std::uint32_t>(sample::Event::wrap_buffer))
            records.push_back(*record);
    return records;
}

std::uint64_t first_stamp(std::vector<Record> const& records)
{
    return std::ranges::find(records, true, &Record::has_stamp)->stamp;
}

Bytes file_of(std::vector<Record> const& records, std::size_t window = 0xffff'f000)
{
    Sample sample;
    for (Record const& record : records)
        sample.put(record.pcpu, record);
    return sample.file(window);
}

Comparison compare_files(Bytes const& a, Bytes const& b, std::int64_t tolerance_ns = 0)
{
    Common const common{Common::of(figures_of(a), figures_of(b))};
    TraceStream stream_a{a}, stream_b{b};
    return compare({stream_a, hertz}, {stream_b, hertz}, common, tolerance_ns);
}

Bytes real_trace(std::string const& name)
{
    return unpacked(repository_root() + "/tests/traces/" + name + ".xentrace.xz");
}

// The k-th of its pCPU.
std::uint64_t index_of(std::vector<Record> const& records, std::size_t at)
{
    auto const is_counted = [&](Record const& record) { return record.pcpu == records[at].pcpu; };
    return static_cast<std::uint64_t>(
        std::count_if(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(at), is_counted));
}

TEST(TraceDiff, OfATraceAndItselfFindsNothing)
{
    Bytes const file{real_trace("skew-soft")};
    Comparison const found{compare_files(file, file)};
    EXPECT_FALSE(found.records);
    EXPECT_FALSE(found.switches);
    EXPECT_EQ(found.shift.count, 0u);
    EXPECT_EQ(found.same, records_of_file(file).size());
}

TEST(TraceDiff, DoesNotCareHowATraceIsCutIntoWindows)
{
    Bytes const file{real_trace("skew-soft")};
    Comparison const found{compare_files(file, file_of(records_of_file(file), 400))};
    EXPECT_FALSE(found.records);
    EXPECT_EQ(found.shift.count, 0u);
}

// One record of a real trace is changed, left out or doubled; the place is known.
TEST(TraceDiff, FindsEverySeededChangeAtItsRecord)
{
    std::mt19937_64 random{9}; // NOLINT(cert-msc51-cpp): the same seeds each time
    unsigned found_count{0};
    for (std::string const name : {"skew-soft", "over-soft"}) {
        Bytes const file{real_trace(name)};
        std::vector<Record> const records{records_of_file(file)};
        for (unsigned round = 0; round < 25; ++round) {
            std::size_t const at = random() % records.size();
            std::vector<Record> changed{records};
            auto const place = changed.begin() + static_cast<std::ptrdiff_t>(at);
            // A record that is left out or doubled beside its equal leaves no trace of where.
            auto const next = std::find_if(place + 1, changed.end(),
                                           [&](Record const& record) { return record.pcpu == place->pcpu; });
            unsigned const kind = next == changed.end() || same_record(*place, *next) ? 0 : round % 3;
            std::uint64_t expected_index = index_of(records, at);
            std::uint64_t expected_stamp = place->stamp;
            if (kind == 0 && place->word_count != 0) {
                place->word_store[0] ^= 1u << random() % 16;
            } else if (kind == 2) {
                ++expected_index;
                changed.insert(place, *place);
            } else {
                changed.erase(place);
            }
            bool const swaps = round % 2 == 1;
            Bytes const other{file_of(changed)};
            Comparison const found{swaps ? compare_files(other, file) : compare_files(file, other)};
            ASSERT_TRUE(found.records) << name << " round " << round << " record " << at;
            EXPECT_EQ(found.records->pcpu, records[at].pcpu) << name << " round " << round;
            EXPECT_EQ(found.records->index, expected_index) << name << " round " << round;
            EXPECT_EQ(found.records->ns, static_cast<std::int64_t>(expected_stamp - first_stamp(records)));
            found_count += found.records->pcpu == records[at].pcpu && found.records->index == expected_index ? 1u : 0u;
        }
    }
    EXPECT_EQ(found_count, 50u);
}

// Two simulations that differ only in when the last domain starts: they part then, and no sooner.
TEST(TraceDiff, FindsWhereTwoSimulationsPart)
{
    std::filesystem::path const folder{std::filesystem::temp_directory_path() /
                                       fmt::format("nv-diff-test-{}", ::getpid())};
    std::filesystem::create_directories(folder);
    std::string const base{read_text(repository_root() + "/tests/scenarios/two-nodes-nodeaff.json")};
    auto const start_at = [&](std::uint64_t ns) {
        std::string text{base};
        std::string const key{"\"start_ns\": 0"};
        text.replace(text.rfind(key), key.size(), fmt::format("\"start_ns\": {}", ns));
        write_text(folder / "s.json", text);
        return simulated_trace(folder / "s.json", {.settings = {"duration_ns=200000000"}}).bytes;
    };
    Bytes const late{start_at(190'000'000)};
    for (std::uint64_t const ns : {13'000'000u, 47'123'456u, 111'000'001u, 150'999'999u}) {
        Comparison const found{compare_files(late, start_at(ns))};
        ASSERT_TRUE(found.records);
        EXPECT_GE(found.records->ns, static_cast<std::int64_t>(ns) - 1);
        EXPECT_LT(found.records->ns, static_cast<std::int64_t>(ns) + 1000);
    }
    std::filesystem::remove_all(folder);
}

TEST(TraceDiff, TellsEqualRecordsAtOtherTimesFromADifference)
{
    std::vector<Record> records{records_of_file(real_trace("skew-soft"))};
    Bytes const before{file_of(records)};
    std::size_t const from = records.size() / 2;
    for (std::size_t i = from; i < records.size(); ++i)
        records[i].stamp += 250;
    Bytes const after{file_of(records)};
    Comparison const found{compare_files(before, after)};
    EXPECT_FALSE(found.records);
    EXPECT_EQ(found.shift.first_by, 250);
    EXPECT_EQ(found.shift.largest, 250);
    EXPECT_GE(found.shift.count, records.size() / 2 - 10); // without those that have no stamp
    EXPECT_EQ(found.shift.ns, static_cast<std::int64_t>(records[from].stamp - 250 - first_stamp(records)));
    EXPECT_EQ(compare_files(before, after, 250).shift.count, 0u);
    EXPECT_EQ(compare_files(after, before).shift.largest, -250);
    EXPECT_EQ(compare_files(after, before).shift.count, found.shift.count);
}

TEST(TraceDiff, TheEndOfOneTraceIsADivergence)
{
    Sample a, b;
    for (Sample* const sample : {&a, &b})
        sample->change(0, 1000, idle, 0, State::runnable, State::running)
            .change(1, 1010, idle, 1, State::runnable, State::running);
    a.change(1, 5000, 1, 0, State::blocked, State::runnable);
    Comparison const found{compare_files(a.file(), b.file())};
    ASSERT_TRUE(found.records);
    EXPECT_EQ(found.records->pcpu, 1u);
    EXPECT_EQ(found.records->ns, 4000);
    EXPECT_TRUE(found.records->a);
    EXPECT_FALSE(found.records->b);
}

// What one has of another class, or of a pCPU that the other lacks, is not held against it.
TEST(TraceDiff, ComparesWhatBothHave)
{
    Sample a, b;
    for (Sample* const sample : {&a, &b})
        sample->change(0, 1000, idle, 0, State::runnable, State::running);
    a.put(0, sample::make(static_cast<std::uint32_t>(sample::Event::tickle), 2000, {1}));
    b.change(7, 1500, idle, 7, State::runnable, State::running);
    Common const common{Common::of(figures_of(a.file()), figures_of(b.file()))};
    EXPECT_EQ(common.only_a, std::set<std::uint32_t>{0x00022000});
    EXPECT_EQ(common.pcpus_only_b, std::set<std::uint32_t>{7});
    EXPECT_FALSE(compare_files(a.file(), b.file()).records);
}

TEST(TraceDiff, ShowsTheStateBeforeAndWhatEachDid)
{
    Sample a, b;
    for (Sample* const sample : {&a, &b})
        sample->change(0, 1000, 1, 0, State::runnable, State::running)
            .change(0, 2000, 1, 1, State::runnable, State::running)
            .change(1, 2500, 1, 0, State::offline, State::runnable)
            .put(1, sample::make(static_cast<std::uint32_t>(sample::Event::prio), 2600, {0x10000, 0xffff'ffff, 0}));
    a.change(0, 3000, 1, 1, State::running, State::blocked).change(0, 3001, 1, 0, State::runnable, State::running);
    b.change(0, 3000, 1, 1, State::running, State::runnable).change(0, 3009, idle, 0, State::runnable, State::running);
    Bytes const file_a{a.file()}, file_b{b.file()};
    Comparison const found{compare_files(file_a, file_b)};
    ASSERT_TRUE(found.records);
    TraceStream stream_a{file_a}, stream_b{file_b};
    DiffView const view_a{view_divergence(stream_a, hertz, *found.records, Comparer::Side::a)};
    DiffView const view_b{view_divergence(stream_b, hertz, *found.records, Comparer::Side::b)};
    EXPECT_EQ(view_a.decision, "pCPU 0 goes to d1v0 at 0.000002001 s");
    EXPECT_EQ(view_b.decision, "pCPU 0 goes to idle0 at 0.000002009 s");
    ASSERT_FALSE(view_a.state.empty());
    EXPECT_EQ(view_a.state[0], "pCPU 0 runs d1v1 for 0.6 us; d1v0 for 0.1 us, BOOST waits");
    EXPECT_EQ(view_a.state, view_b.state);
    EXPECT_NE(view_a.after[0].find("running_to_blocked"), std::string::npos);
    EXPECT_NE(view_b.after[0].find("running_to_runnable"), std::string::npos);
}

TEST(TraceDiff, MeasuresHowMuchLongerWaitsAre)
{
    WaitSamples low, high, both;
    for (std::uint64_t i = 0; i < 500; ++i) {
        low.add(i);
        high.add(1000 + i);
        both.add(i);
        both.add(1000 + i);
    }
    EXPECT_DOUBLE_EQ(cliffs_delta(low, hertz, high, hertz), 1);
    EXPECT_DOUBLE_EQ(cliffs_delta(high, hertz, low, hertz), -1);
    EXPECT_DOUBLE_EQ(cliffs_delta(low, hertz, low, hertz), 0);
    EXPECT_NEAR(cliffs_delta(low, hertz, both, hertz), 0.5, 0.001);
    EXPECT_NEAR(cliffs_delta(low, hertz, high, 1000 * hertz), -0.992, 0.001); // a thousandth as long, as a clock says
    EXPECT_DOUBLE_EQ(cliffs_delta(low, hertz, {}, hertz), 0);
}

TEST(TraceDiff, SaysEffectSizesOfPairedVcpus)
{
    auto const trace = [](std::uint64_t first, std::uint64_t second) {
        Sample sample;
        sample.change(0, 1000, 1, 0, State::runnable, State::running)
            .change(0, 1000 + first, 1, 0, State::running, State::blocked)
            .change(1, 1000, 1, 1, State::runnable, State::running)
            .change(1, 1000 + second, 1, 1, State::running, State::blocked)
            .change(3, 1000, 0, 0, State::runnable, State::running) // dom0 is no guest
            .change(3, 1000 + 3 * first, 0, 0, State::running, State::blocked)
            .resume(2, 101'000, 2, 0);
        return figures_of(sample.file());
    };
    std::vector<FigureDiff> const rows{diff_figures(trace(20'000, 40'000), trace(30'000, 52'000))};
    auto const running = std::ranges::find(rows, "running", &FigureDiff::name);
    ASSERT_NE(running, rows.end());
    EXPECT_NEAR(running->a, 20, 0.01); // of three vCPUs
    EXPECT_NEAR(running->b, 82.0 / 3, 0.01);
    // Changes of 10, 12 and 0 points: mean 22/3, standard deviation sqrt(124/3).
    ASSERT_TRUE(running->effect);
    EXPECT_NEAR(*running->effect, 1.1406, 0.001);
    EXPECT_EQ(running->magnitude, "large");
}

TEST(TraceDiff, PageEscapesWhatIsForeign)
{
    DiffReport report;
    report.file_a = "<script>a&\"";
    report.figures = {{.name = "<b>", .unit = "us", .a = 1, .b = 2, .effect = {}}};
    report.first.emplace().a.after = {"<i>"};
    std::string const page{diff_html(report)};
    EXPECT_EQ(page.find("<script>"), std::string::npos);
    EXPECT_EQ(page.find("<i>"), std::string::npos);
    EXPECT_EQ(page.find("<b>,"), std::string::npos);
    EXPECT_NE(page.find("&lt;script&gt;a&amp;&quot;"), std::string::npos);
    EXPECT_EQ(page.find("http"), std::string::npos) << "needs something else";
}

} // namespace
} // namespace hv::nv
