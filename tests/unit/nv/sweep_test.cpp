// The grid of a sweep, scenarios made of scenarios, and results that survive what happens to files.
#include "tests/unit/nv/sample_scenario.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/scenario_edit.hpp"
#include "tools/nv/sweep.hpp"
#include "tools/nv/sweep_results.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <functional>

namespace hv::nv::test {

namespace {

namespace fs = std::filesystem;

// A folder that goes with the test.
class SweepPlace : public testing::Test {
protected:
    SweepPlace() : folder{fs::path{testing::TempDir()} / fmt::format("sweep-{}", ::getpid())}
    {
        fs::create_directories(folder);
        write_text(folder / "full.json", with(full_scenario,
                                              "\"numacredit\", \"policy_params\": {\"steal\": true, "
                                              "\"depth\": -3}",
                                              "\"credit\""));
        write_text(folder / "small.json", small_scenario);
    }
    ~SweepPlace() override { fs::remove_all(folder); }

    [[nodiscard]] SweepGrid grid(std::string_view members) const
    {
        return SweepGrid::parse(fmt::format("{{\"schema\": \"numavisor-sweep/1\", \"name\": \"g\", {}}}", members),
                                "grid.json", folder);
    }
    [[nodiscard]] std::string complaint(std::string_view members, bool checked = false) const
    {
        try {
            SweepGrid const made{grid(members)};
            if (checked)
                made.check();
        } catch (Error const& error) {
            EXPECT_EQ(error.code(), ExitCode::bad_input);
            return error.what();
        }
        return "";
    }

    fs::path const folder;
};

constexpr std::string_view both = R"("scenarios": ["full.json", "small.json"])";

TEST_F(SweepPlace, GridIsTheProductOfItsAxesWithTheSeedVaryingFastest)
{
    SweepGrid const made{grid(fmt::format(
        R"({}, "vms": [1, 3], "parameters": {{"sched.tslice_ms": [5, 10]}}, "policies": ["credit",
            {{"policy": "numacredit", "set": {{"boost_us": [0, 500], "patience_us": [1]}}}}], "seeds": 2)",
        both))};
    EXPECT_EQ(made.runs(), 2u * 2 * 2 * 3 * 2);
    std::vector<std::string> const first{"full", "1", "5", "credit", "1"};
    std::vector<std::string> const second{"full", "1", "5", "credit", "2"};
    std::vector<std::string> const last{"small", "3", "10", "numacredit:boost_us=500,patience_us=1", "2"};
    EXPECT_EQ(made.values(made.point(0)), first);
    EXPECT_EQ(made.values(made.point(1)), second);
    EXPECT_EQ(made.values(made.point(made.runs() - 1)), last);
    Scenario const scenario{made.resolve(made.point(made.runs() - 1))};
    EXPECT_EQ(scenario.tslice_ms, 10u);
    EXPECT_EQ(scenario.policy, "numacredit");
    EXPECT_EQ(scenario.seed, 2u);
    ASSERT_EQ(scenario.domains.size(), 3u);
    EXPECT_EQ(scenario.domains[2].id, 3);
    EXPECT_EQ(scenario.policy_params.size(), 2u);
}

TEST_F(SweepPlace, GridNamesThePlaceOfWhatIsWrongWithIt)
{
    EXPECT_EQ(complaint(R"("scenarios": ["nowhere.json"])"),
              fmt::format("grid.json: $.scenarios[0]: there is no file {}; names are relative to the grid's folder",
                          (folder / "nowhere.json").string()));
    EXPECT_EQ(complaint(fmt::format(R"({}, "seeds": [1, 2, 1])", both)),
              "grid.json: $.seeds[2]: 1 is in the list twice");
    EXPECT_EQ(
        complaint(fmt::format(R"({}, "polices": ["credit"])", both)),
        "grid.json: $.polices: unknown key, allowed are schema, name, scenarios, vms, pcpus, parameters, policies, "
        "seeds");
    EXPECT_EQ(complaint(fmt::format(R"({}, "pcpus": [3])", both)),
              fmt::format("grid.json: $.pcpus[0]: {} has 2 pCPUs; a sweep takes some away, it adds none",
                          (folder / "small.json").string()));
    EXPECT_EQ(
        complaint(fmt::format(R"({}, "parameters": {{"$.domains[4].cap": [1]}})", both)),
        fmt::format("grid.json: $.parameters.$.domains[4].cap: {} has no such place", (folder / "full.json").string()));
    EXPECT_EQ(complaint(fmt::format(R"({}, "seeds": 4000000, "vms": [1, 2, 3])", both)),
              "grid.json: $: 24000000 runs, at most 10000000 are allowed; make several grids of it");
}

TEST_F(SweepPlace, GridNamesThePointThatCannotBe)
{
    EXPECT_EQ(
        complaint(fmt::format(R"({}, "parameters": {{"$.domains[0].weight": [1, 70000]}})", both), true),
        fmt::format("grid.json: scenario full, $.domains[0].weight 70000: {}: $.domains[0].weight: 70000 is out of "
                    "range, allowed is 1 to 65535",
                    (folder / "full.json").string()));
    EXPECT_NE(complaint(fmt::format(R"({}, "policies": ["credit", "cfs"])", both), true)
                  .find("policy cfs: policy cfs is not known"),
              std::string::npos);
    EXPECT_NE(complaint(fmt::format(R"({}, "policies": ["credit:colour=1"])", both), true).find("colour"),
              std::string::npos);
    EXPECT_EQ(complaint(fmt::format(R"({}, "policies": ["credit:tslice_ms=5", "null"], "seeds": 3)", both), true), "");
}

TEST(SweepRuns, ListsAreReadAndWrittenAsRanges)
{
    std::vector<std::size_t> const some{0, 1, 2, 7, 9, 10};
    EXPECT_EQ(parse_runs("9-10,0-2,1,7", 11), some);
    EXPECT_EQ(runs_text(some), "0-2,7,9-10");
    for (char const* const bad : {"", "3-", "-3", "x", "1,,2", "5-4", "0-11", "1-2-3"})
        EXPECT_THROW(static_cast<void>(parse_runs(bad, 11)), Error) << bad;
}

SweepResult sample_result()
{
    return {.identity = {.program = "p", .scenario = "s", .names = {"scenario", "seed"}, .values = {"a \"b\"", "1"}},
            .failed = "",
            .figures = {{"cpu", 0.1}, {"moves", 3}},
            .run = R"({"guests": {"jobs_per_s": 1.5}})"};
}

TEST(SweepResults, AreWhatTheyWereOrAreSeenToBeDamaged)
{
    std::string const text{result_text(sample_result())};
    std::string damage;
    std::optional<SweepResult> const read{result_from(text, damage)};
    ASSERT_TRUE(read) << damage;
    EXPECT_EQ(result_text(*read), text);
    EXPECT_EQ(read->identity.key(), sample_result().identity.key());
    for (std::size_t length = 0; length < text.size(); ++length)
        EXPECT_FALSE(result_from(text.substr(0, length), damage)) << length;
    for (std::size_t at = 0; at < text.size(); ++at) {
        std::string flipped{text};
        flipped[at] = static_cast<char>(flipped[at] ^ 1);
        EXPECT_FALSE(result_from(flipped, damage)) << at;
        EXPECT_FALSE(damage.empty());
    }
}

TEST_F(SweepPlace, ResultOfAnotherRunIsNotTakenForOnesOwn)
{
    SweepResult other{sample_result()};
    other.identity.program = "q";
    EXPECT_NE(other.identity.key(), sample_result().identity.key());
    std::string damage;
    std::string const key{sample_result().identity.key()};
    EXPECT_FALSE(kept_result(folder, key, damage));
    EXPECT_EQ(damage, "");
    write_text(result_file(folder, key), result_text(other));
    EXPECT_FALSE(kept_result(folder, key, damage));
    EXPECT_EQ(damage, "is another run's result");
    keep_result(folder, sample_result());
    EXPECT_TRUE(kept_result(folder, key, damage)) << damage;
}

// The scenario as it stands after an edit; the parser sees whether it is whole.
Scenario after_edit(std::function<void(Json&)> const& edit, std::string_view text = full_scenario)
{
    Json tree{parse_json(text, "edited")};
    edit(tree);
    return parse_scenario(json_line(tree), "edited");
}

TEST(ScenarioEdit, DropsAPcpuWithAllThatNamedIt)
{
    Scenario const scenario{after_edit([](Json& tree) { drop_pcpu(tree, 2); })};
    ASSERT_EQ(scenario.machine.pcpus.size(), 3u);
    EXPECT_EQ(scenario.machine.pcpus[2].node, 1);
    EXPECT_EQ(*scenario.domains[0].hard_affinity, (PcpuList{0, 1, 2}));
    std::vector<Vcpu> const& vcpus{scenario.domains[0].vcpus};
    EXPECT_EQ(vcpus[0].initial_pcpu, 2);
    EXPECT_EQ(vcpus[1].initial_pcpu, 2) << "of the same node";
    EXPECT_FALSE(vcpus[1].hard_affinity) << "an empty mask is none";
    EXPECT_EQ(*vcpus[1].soft_affinity, PcpuList{2});
}

TEST(ScenarioEdit, DropsANodeWithItsPcpusAndMemory)
{
    Scenario const scenario{after_edit([](Json& tree) { drop_node(tree, 0); })};
    EXPECT_EQ(scenario.machine.pcpus.size(), 2u);
    EXPECT_EQ(scenario.machine.node_memory_mib, (std::vector<std::uint64_t>{0, 512}));
    EXPECT_EQ(scenario.machine.distances, (std::vector<std::uint8_t>{10, 15, 16, 10}));
    EXPECT_EQ(*scenario.domains[0].node_affinity, NodeList{1});
    EXPECT_FALSE(scenario.domains[0].preferred_nodes);
    EXPECT_EQ(*scenario.domains[0].memory_nodes, NodeList{1});
}

TEST(ScenarioEdit, DropsAVcpuWithItsPartnerAndADomainWithItsLast)
{
    Scenario const without_pair{after_edit([](Json& tree) { drop_vcpu(tree, 0, 1); })};
    ASSERT_EQ(without_pair.domains[0].vcpus.size(), 1u);
    EXPECT_EQ(without_pair.domains[0].vcpus[0].workload.kind, scenario::WorkloadKind::burst);
    EXPECT_EQ(without_pair.domains[0].cap, 100u) << "no more than it can use";
    Scenario const without_domain{after_edit([](Json& tree) {
        drop_vcpu(tree, 0, 0);
        drop_vcpu(tree, 0, 0);
    })};
    ASSERT_EQ(without_domain.domains.size(), 1u);
    EXPECT_EQ(without_domain.domains[0].id, 3);
}

constexpr std::string_view notifying = R"({
 "schema": "credit-scenario/2", "name": "n", "seed": 1, "duration_ns": 1000000,
 "machine": {"cpus": [{"cpu": 0, "node": 0, "socket": 0, "core": 0}, {"cpu": 1, "node": 0, "socket": 0, "core": 1}]},
 "changes": [{"at_ns": 5, "do": "pause", "domain": 1}, {"at_ns": 6, "do": "pcpu_offline", "cpu": 1}],
 "domains": [
  {"id": 1, "vcpus": [{"initial_cpu": 0, "workload": {"kind": "hog"}}]},
  {"id": 2, "vcpus": [{"initial_cpu": 0, "workload": {"kind": "hog"}},
                      {"initial_cpu": 1, "workload": {"kind": "recorded", "steps": ["w", "r5"]}}]},
  {"id": 3, "vcpus": [{"initial_cpu": 0, "workload": {"kind": "recorded", "steps": ["r7", "n2.1", "r9"]}}]}]
})";

TEST(ScenarioEdit, LeavesNoStepOrChangeThatNamesWhatIsGone)
{
    Scenario const renamed{after_edit([](Json& tree) { drop_vcpu(tree, 1, 0); }, notifying)};
    EXPECT_EQ(renamed.domains[2].vcpus[0].workload.steps.size(), 3u) << "it is n2.0 now";
    Scenario const without{after_edit([](Json& tree) { drop_domain(tree, 1); }, notifying)};
    EXPECT_EQ(without.domains[1].vcpus[0].workload.steps.size(), 2u);
    EXPECT_EQ(without.changes.size(), 2u);
    EXPECT_EQ(after_edit([](Json& tree) { drop_domain(tree, 0); }, notifying).changes.size(), 1u);
    EXPECT_EQ(after_edit([](Json& tree) { drop_pcpu(tree, 1); }, notifying).changes.size(), 1u);
}

TEST(ScenarioEdit, MakesMoreVmsByTurnsAndFewerPcpusNodeByNode)
{
    Scenario const more{after_edit([](Json& tree) { set_vms(tree, 5); })};
    ASSERT_EQ(more.domains.size(), 5u);
    EXPECT_EQ(more.domains[4].id, 10);
    EXPECT_EQ(more.domains[4].vcpus.size(), more.domains[0].vcpus.size());
    EXPECT_EQ(more.domains[3].vcpus.size(), more.domains[1].vcpus.size());
    Scenario const fewer{after_edit([](Json& tree) { set_pcpus(tree, 2); })};
    ASSERT_EQ(fewer.machine.pcpus.size(), 2u);
    EXPECT_NE(fewer.machine.pcpus[0].node, fewer.machine.pcpus[1].node);
}

TEST(ScenarioEdit, FindsPlacesAndMakesTheLastMember)
{
    Json tree{parse_json(notifying, "n")};
    ASSERT_NE(at_path(tree, "$.domains[1].cap"), nullptr);
    EXPECT_EQ(at_path(tree, "$.domains[2].vcpus[0].workload.steps[1]")->text, "n2.1");
    for (char const* const bad :
         {"", "$", "domains", "$.domains[3]", "$.domains[1x]", "$.domains[", "$.nothing.cap", "$..a"})
        EXPECT_EQ(at_path(tree, bad), nullptr) << bad;
}

} // namespace

} // namespace hv::nv::test
