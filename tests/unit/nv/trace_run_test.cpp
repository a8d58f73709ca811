// Traces of our own runs: what nv leaves beside them, and that figures out of the trace are those of the run.
#include "tests/unit/nv/sample_scenario.hpp"
#include "tests/unit/nv/trace_sample.hpp"
#include "tools/nv/feed.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/sim.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <unistd.h>

namespace hv::nv {
namespace {

namespace fs = std::filesystem;

RecordedRun full_run()
{
    return {.scenario = parse_scenario(test::full_scenario, "full"),
            .source = RecordedRun::Source::simulator,
            .start = 17,
            .last = 4711,
            .lost_records = 3,
            .events = 99};
}

std::string refusal(std::string const& text)
{
    try {
        static_cast<void>(parse_trace_facts(text, "f"));
    } catch (Error const& error) {
        return error.what();
    }
    return "";
}

TEST(RecordedRun, TellsATraceAllThatFiguresNeed)
{
    TraceFacts const facts = parse_trace_facts(facts_json(full_run()), "f");
    EXPECT_EQ(facts.clock_hz, 1'000'000'000u);
    EXPECT_EQ(facts.node_of, (std::vector<std::uint16_t>{0, 0, 1, 1}));
    EXPECT_EQ(facts.names.at(7), "db");
    EXPECT_EQ(facts.home_of(7, 2), std::vector<std::uint16_t>{0});
    EXPECT_EQ(facts.hard_of(7, 0), (std::vector<std::uint16_t>{0, 1, 3}));
    EXPECT_EQ(facts.hard_of(7, 1), std::vector<std::uint16_t>{2});
    EXPECT_FALSE(facts.hard_of(3, 0).has_value());
    ASSERT_TRUE(facts.run.has_value());
    EXPECT_EQ(facts.run->scenario.domains.size(), 2u);
    EXPECT_EQ(facts.run->scenario.domains[1].vcpus.size(), 3u);
    EXPECT_EQ(facts_json(*facts.run), facts_json(full_run()));
}

TEST(RecordedRun, AHomeMayBeANodeWithoutPcpus)
{
    RecordedRun run{full_run()};
    run.scenario.domains[0].preferred_nodes = NodeList{2};
    EXPECT_EQ(parse_trace_facts(facts_json(run), "f").home_of(7, 0), std::vector<std::uint16_t>{2});
}

TEST(RecordedRun, NamesThePlaceOfWhatItCannotBe)
{
    std::string const good{facts_json(full_run())};
    EXPECT_EQ(refusal(good), "");
    EXPECT_NE(refusal(test::with(good, "\"simulator\"", "\"vmware\"")).find("$.run.source: is neither"),
              std::string::npos);
    EXPECT_NE(refusal(test::with(good, "\"duration_ns\": 2000000", "\"duration_ns\": 0")).find("$.run.duration_ns"),
              std::string::npos);
    EXPECT_NE(refusal(test::with(good, "\"pcpu_nodes\"", "\"clock\"")).find("$.run: needs $.pcpu_nodes"),
              std::string::npos);
    EXPECT_NE(refusal(test::with(good, "\"vcpu_count\": 3", "\"vcpu_count\": 65535")).find("more than 65536 vCPUs"),
              std::string::npos);
}

TEST(RecordedRun, ASimulatedTraceGivesTheVeryFiguresOfItsSimulation)
{
    fs::path const folder = fs::temp_directory_path() / fmt::format("nv-recorded-{}", ::getpid());
    for (char const* const name : {"boot-2x4-smt", "boot-4x4-asymmetric"}) {
        testing::internal::CaptureStdout();
        SimOptions options;
        options.scenarios = {fmt::format("tests/scenarios/{}.json", name)};
        options.out = folder;
        EXPECT_EQ(simulate_scenarios(options), ExitCode::good);
        static_cast<void>(testing::internal::GetCapturedStdout());
        fs::path const made = folder / fmt::format("{}-credit-1", name);
        MappedFile const file{made / "trace.xentrace"};
        TraceStream trace{file};
        TraceFacts const facts = load_trace_facts(facts_file_of(made / "trace.xentrace"));
        ASSERT_TRUE(facts.run.has_value());
        EXPECT_EQ(run_json(*facts.run, measure(*facts.run, trace)), read_text(made / "metrics.json")) << name;
    }
    fs::remove_all(folder);
}

// d1v0 is woken, runs and blocks within one moment at 100: four stamps that follow each other. Its next change at 200
// is another moment.
TEST(RecordedRun, RecordsOfOneSimulatedMomentTakeNoTime)
{
    using sample::State;
    RecordedRun run{.scenario = parse_scenario(test::small_scenario, "small")};
    sample::Sample sample;
    sample.change(0, 100, 1, 0, State::offline, State::runnable).change(0, 101, 1, 0, State::runnable, State::running);
    sample.change(0, 102, 1, 0, State::running, State::blocked).change(0, 200, 1, 0, State::blocked, State::runnable);
    sample.change(0, 300, 1, 0, State::runnable, State::running).change(0, 301, 1, 0, State::running, State::blocked);
    auto const run_time = [&](RecordedRun::Source source) {
        run.source = source;
        sample::Bytes const file = sample.file();
        TraceStream trace{file};
        return measure(run, trace).metrics.total.run();
    };
    EXPECT_EQ(run_time(RecordedRun::Source::kernel), 2);
    EXPECT_EQ(run_time(RecordedRun::Source::simulator), 0);
}

} // namespace
} // namespace hv::nv
