#include "tests/unit/nv/trace_sim.hpp"
#include "tools/nv/scenario.hpp"
#include "tools/nv/trace_dump.hpp"
#include "tools/nv/trace_stream.hpp"

#include <gtest/gtest.h>

namespace hv::nv {
namespace {

std::string scenario_of(std::string const& first, std::string const& second, char const* schema = "2")
{
    return fmt::format(R"({{"schema": "credit-scenario/{}", "name": "steps", "seed": 1, "duration_ns": 100000,
 "machine": {{"ipi_ns": 500, "wake_ns": 1000, "cpus": [{{"cpu": 0, "node": 0, "socket": 0, "core": 0}},
  {{"cpu": 1, "node": 0, "socket": 0, "core": 1}}]}},
 "domains": [
  {{"id": 1, "vcpus": [{{"initial_cpu": 0, "workload": {{"kind": "recorded", "steps": [{}]}}}}]}},
  {{"id": 2, "vcpus": [{{"initial_cpu": 1, "workload": {{"kind": "recorded", "steps": [{}]}}}}]}}]}})",
                       schema, first, second);
}

std::string refusal_of(std::string const& text)
{
    try {
        static_cast<void>(parse_scenario(text, "f"));
    } catch (Error const& error) {
        return error.what();
    }
    return "";
}

TEST(ScenarioSteps, ReadsEveryKind)
{
    Scenario const s{parse_scenario(scenario_of(R"("r7  n2.0", "s9+4 w")", R"("w+5 n1.0")"), "f")};
    auto const& first = s.domains[0].vcpus[0].workload.steps;
    ASSERT_EQ(first.size(), 4u);
    EXPECT_EQ(first[0].ns, 7u);
    EXPECT_EQ(first[1].target, 1u) << "the row of d2v0";
    EXPECT_EQ(first[2].ns, 9u);
    EXPECT_EQ(first[2].target, 4u);
    EXPECT_EQ(s.domains[1].vcpus[0].workload.steps[0].target, 5u);
}

TEST(ScenarioSteps, RefusesWhatIsNoStep)
{
    for (char const* const step : {"r0", "r", "x1", "s1000000000000001", "n2", "n2.", "nx.0", "w1", "r5+1", "s5+", "+",
                                   "s5+4294967296", "n40000.0", "n1.9999"})
        EXPECT_NE(
            refusal_of(scenario_of(fmt::format("\"{}\"", step), "")).find("$.domains[0].vcpus[0].workload.steps[0]"),
            std::string::npos)
            << step;
    EXPECT_NE(refusal_of(scenario_of(R"("n2.1")", "")).find("n2.1 notifies a vCPU that is not there"),
              std::string::npos);
    EXPECT_NE(refusal_of(scenario_of(R"("n3.0")", "")).find("n3.0"), std::string::npos);
}

// When each vCPU's state changes, in us.
std::string changes(std::string const& scenario)
{
    std::filesystem::path const file{std::filesystem::temp_directory_path() /
                                     fmt::format("nv-steps-{}.json", ::getpid())};
    write_text(file, scenario);
    SimulatedTrace const trace{simulated_trace(file, {})};
    std::filesystem::remove(file);
    std::string text;
    TraceStream stream{trace.bytes};
    while (std::optional<Record> const record = stream.next()) {
        auto const change = sched::trace::decode_runstate(record->event);
        bool const counts = change && record->word_store[0] >> 16 <= 2 && record->stamp <= trace.facts.run->last;
        if (counts && change->to != RunState::offline)
            text += fmt::format("{}{} {:.1f}{}", text.empty() ? "" : ", ", vcpu_name(record->word_store[0] >> 16, 0),
                                static_cast<double>(record->stamp) / 1000,
                                change->to == RunState::running   ? " runs"
                                : change->to == RunState::blocked ? " blocks"
                                                                  : " wakes");
    }
    return text;
}

TEST(ScenarioSteps, AreDoneOneAfterTheOther)
{
    // d1v0 runs 5 us, notifies, runs 2, sleeps 10, of which the wake-up takes 3, runs 1 and waits for what never comes.
    EXPECT_EQ(changes(scenario_of(R"("r5000 n2.0 r2000 s10000+3000 r1000 w r9")", R"("w r4000")")),
              "d1v0 0.0 wakes, d1v0 1.0 runs, d2v0 6.0 wakes, d2v0 6.5 runs, d1v0 8.0 blocks, d2v0 10.5 blocks, "
              "d1v0 18.0 wakes, d1v0 21.0 runs, d1v0 22.0 blocks");
}

TEST(ScenarioSteps, LoseNoEvent)
{
    // Three events come while d2v0 runs and sleeps; neither ends the sleep, and three waits go on at once.
    EXPECT_EQ(
        changes(scenario_of(R"("r1000 n2.0 n2.0 r1000 n2.0")", R"("r1500 s20000 r1000 w r1000 w r1000 w r1000 w")")),
        "d1v0 0.0 wakes, d2v0 0.0 wakes, d2v0 0.5 runs, d1v0 1.0 runs, d2v0 2.0 blocks, d1v0 3.0 blocks, "
        "d2v0 22.0 wakes, d2v0 23.0 runs, d2v0 27.0 blocks");
}

} // namespace
} // namespace hv::nv
