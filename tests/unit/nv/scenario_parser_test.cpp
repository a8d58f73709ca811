#include "tools/nv/scenario.hpp"

#include "tests/unit/nv/sample_scenario.hpp"
#include "tools/nv/errors.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace hv::nv {
namespace {

using test::full_scenario;
using test::small_scenario;
using test::with;

// The line of the refusal; empty if there is none.
std::string key_refusal(std::string const& text, Overrides const& overrides = {})
{
    try {
        static_cast<void>(parse_scenario(text, "f.json", overrides));
    } catch (Error const& error) {
        EXPECT_EQ(error.code(), ExitCode::bad_input);
        return error.what();
    }
    return "";
}

TEST(ScenarioParser, ReadsEveryKeyOfSchema2)
{
    Scenario const s = parse_scenario(full_scenario, "f.json");
    EXPECT_EQ(s.run_name(), "full-numacredit-18446744073709551615");
    EXPECT_EQ(s.label, "a label");
    EXPECT_EQ(s.warmup_ns, 1000u);
    EXPECT_EQ(s.tslice_ms, 10u);
    EXPECT_EQ(s.ratelimit_us, 0u);
    EXPECT_EQ(s.trace_mask, 0x2f000u);
    EXPECT_EQ(s.trace_ring_kib, 64u);
    EXPECT_EQ(s.policy_params, (std::vector<std::pair<std::string, std::int64_t>>{{"steal", 1}, {"depth", -3}}));
    EXPECT_EQ(s.machine.node_memory_mib, (std::vector<std::uint64_t>{64, 0, default_node_memory_mib}));
    EXPECT_EQ(s.machine.distances, (std::vector<std::uint8_t>{10, 20, 30, 21, 10, 15, 31, 16, 10}));
    EXPECT_EQ(s.machine.timer_late_ns, 4u);
    Domain const& db = s.domains.at(0);
    EXPECT_EQ(db.hard_affinity, (PcpuList{0, 1, 3})); // Ascending, whatever the file's order.
    EXPECT_EQ(db.node_affinity, (NodeList{0, 2}));
    EXPECT_EQ(db.memory_policy, scenario::MemoryPolicy::interleave);
    EXPECT_EQ(db.vcpus.at(1).soft_affinity, (PcpuList{2, 3}));
    EXPECT_EQ(db.vcpus.at(2).workload.block_max_ns, 4u);
    EXPECT_EQ(s.domains.at(1).name, "dom3");
    EXPECT_EQ(s.domains.at(1).group, "guest");
    EXPECT_EQ(s.domains.at(1).weight, 256u);
}

TEST(ScenarioParser, GivesSchema1ItsDefaults)
{
    Scenario const s = parse_scenario(small_scenario, "f.json");
    EXPECT_EQ(s.policy, default_policy);
    EXPECT_EQ(s.machine.node_memory_mib, (std::vector<std::uint64_t>(2, default_node_memory_mib)));
    EXPECT_EQ(s.machine.distances, (std::vector<std::uint8_t>{10, 20, 20, 10}));
    EXPECT_TRUE(s.machine.firmware_numa);
    EXPECT_FALSE(s.domains.at(0).hard_affinity);
    EXPECT_EQ(s.domains.at(0).memory_mib, 0u);
}

struct BadCase {
    std::string_view from, to; // a change of small_scenario
    std::string_view line;     // behind "f.json: " or "f.json:"
};

TEST(ScenarioParser, NamesThePlaceOfWhatItRefusesInSchema1)
{
    constexpr BadCase cases[]{
        {"\"weight\": 256", "\"weight\": 70000", "$.domains[0].weight: 70000 is out of range, allowed is 1 to 65535"},
        {"\"weight\": 256", "\"weight\": 0", "$.domains[0].weight: 0 is out of range, allowed is 1 to 65535"},
        {"\"weight\": 256", "\"weight\": -1", "$.domains[0].weight: -1 is out of range, allowed is 1 to 65535"},
        {"\"weight\": 256", "\"weight\": 1.5", "$.domains[0].weight: 1.5 is not an integer"},
        {"\"weight\": 256", "\"weight\": \"256\"", "$.domains[0].weight: \"256\" is not an integer"},
        {"\"weight\": 256", "\"weight\": 99999999999999999999",
         " the integer 99999999999999999999 does not fit 64 bits"},
        {"\"cap\": 0", "\"cap\": 101", "$.domains[0].cap: 101 is out of range, allowed is 0 to 100"},
        {"\"weight\": 256, ", "", "$.domains[0]: key \"weight\" is missing"},
        {"\"weight\": 256", "\"weight\": 256, \"wieght\": 1",
         "$.domains[0].wieght: unknown key, allowed are id, group, "},
        {"\"weight\": 256", "\"weight\": 256, \"weight\": 1",
         " key \"weight\" is given twice in one object, remove one"},
        {"\"weight\": 256", "\"weight\": 256, \"memory\": {}",
         "$.domains[0].memory: needs \"schema\": \"credit-scenario/2\""},
        {"\"seed\": 1", "\"seed\": 1, \"placement\": \"4.3\"", "$.placement: needs \"schema\": \"credit-scenario/2\""},
        {"credit-scenario/1", "credit-scenario/3", "$.schema: \"credit-scenario/3\" is not a schema known here"},
        {"\"name\": \"small\"", "\"name\": \"a/b\"", "$.name: \"a/b\" is not a name"},
        {"\"duration_ns\": 1000", "\"duration_ns\": 0", "$.duration_ns: 0 is out of range"},
        {"\"hard_affinity\": null", "\"hard_affinity\": []", "$.domains[0].hard_affinity: an empty list of pCPUs"},
        {"\"hard_affinity\": null", "\"hard_affinity\": [2]",
         "$.domains[0].hard_affinity[0]: 2 is out of range, allowed is 0 to 1"},
        {"\"hard_affinity\": null", "\"hard_affinity\": [1, 1]",
         "$.domains[0].hard_affinity[1]: 1 is in the list twice"},
        {"\"node_affinity\": null", "\"node_affinity\": [5]",
         "$.domains[0].node_affinity[0]: 5 is out of range, allowed is 0 to 1"},
        {"\"preferred_nodes\": null", "\"preferred_nodes\": 0", "$.domains[0].preferred_nodes: 0 is not a list"},
        {"\"initial_cpu\": 0", "\"initial_cpu\": 2",
         "$.domains[0].vcpus[0].initial_cpu: 2 is out of range, allowed is 0 to 1"},
        {"{\"kind\": \"hog\"}", "{\"kind\": \"cow\"}",
         "$.domains[0].vcpus[0].workload.kind: \"cow\" is not a workload"},
        {"{\"kind\": \"hog\"}", "{\"kind\": \"hog\", \"run_ns\": 1}",
         "$.domains[0].vcpus[0].workload.run_ns: unknown key, allowed are kind"},
        {"{\"kind\": \"hog\"}", "{\"kind\": \"burst\", \"run_ns\": [2, 1], \"block_ns\": [1, 1]}",
         "$.domains[0].vcpus[0].workload.run_ns: the range [2, 1] is empty"},
        {"{\"kind\": \"hog\"}", "{\"kind\": \"burst\", \"run_ns\": [2], \"block_ns\": [1, 1]}",
         "$.domains[0].vcpus[0].workload.run_ns: 1 numbers, a range is"},
        {"{\"kind\": \"hog\"}", "{\"kind\": \"gridsleep\", \"grid_ns\": 10, \"guard_ns\": 10}",
         "$.domains[0].vcpus[0].workload.guard_ns: 10 is out of range, allowed is 1 to 9"},
        {"{\"kind\": \"hog\"}", "{\"kind\": \"pingpong\", \"run_ns\": 1, \"partner\": 0, \"token\": true}",
         "$.domains[0].vcpus[0].workload.partner: 0 is not another vCPU of this domain, which has 1"},
        {"\"cpu\": 1", "\"cpu\": 2",
         "$.machine.cpus[1].cpu: 2 is out of order, pCPUs are listed by number from 0, here 1 is due"},
        {"\"cpu\": 0", "\"cpu\": 1", "$.machine.cpus[0].cpu: 1 is out of order"},
        {"\"node\": 1", "\"node\": 2", "$.machine.cpus: node 1 is missing"},
        {"\"socket\": 0", "\"socket\": 1", "$.machine.cpus: socket 0 is missing"},
        {"\"core\": 1", "\"core\": 0", "$.machine.cpus[1]: core 0 would be in two places"},
        {"\"vcpus\": [{", "\"vcpus\": [[], {", "$.domains[0].vcpus[0]: [] is not an object"},
        {"\"id\": 1", "\"id\": 32767", "$.domains[0].id: 32767 is out of range, allowed is 0 to 32000"},
        {"}]}]", "}]}, {}]", "$.domains[1]: key \"id\" is missing"},
        {"\"seed\": 1,", "\"seed\": 1", "2:"}, // "f.json:2:COLUMN: not valid JSON near ..."
    };
    for (BadCase const& bad : cases) {
        std::string const line = key_refusal(with(small_scenario, bad.from, bad.to));
        EXPECT_TRUE(line.starts_with("f.json:")) << bad.to << "\n" << line;
        EXPECT_NE(line.find(bad.line), std::string::npos)
            << "changed to " << bad.to << "\nsaid     " << line << "\nwanted   " << bad.line;
        EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    }
}

TEST(ScenarioParser, NamesThePlaceOfWhatItRefusesInSchema2)
{
    constexpr BadCase cases[]{
        {"[{\"memory_mib\": 64}, {\"memory_mib\": 0}, {}]", "[]", "$.machine.nodes: 0 nodes, allowed is 1 to 64"},
        {"[{\"memory_mib\": 64}, {\"memory_mib\": 0}, {}]", "[{\"memory_mib\": 64}]",
         "$.machine.cpus[2]: node 1 is not there, the machine has nodes 0 to 0"},
        {"[{\"memory_mib\": 64}, {\"memory_mib\": 0}, {}]", "[{\"memory_mib\": 0}, {\"memory_mib\": 0}]",
         "$.machine.nodes: no node has memory"},
        {"[10, 20, 30]", "[10, 20]", "$.machine.distances[0]: 2 distances for 3 nodes"},
        {"[10, 20, 30]", "[11, 20, 30]", "$.machine.distances[0][0]: 11 is out of range, allowed is 10 to 10"},
        {"[10, 20, 30]", "[10, 9, 30]", "$.machine.distances[0][1]: 9 is out of range, allowed is 10 to 255"},
        {"{\"numa\": true}", "{\"numa\": false}",
         "$.machine.firmware.numa: false means that nothing tells the kernel of nodes, but the machine has 3"},
        {"\"0x0002f000\"", "\"sched\"", "$.trace.mask: \"sched\" is not an event mask"},
        {"\"ring_kib\": 64", "\"ring_kib\": 65", "$.trace.ring_kib: 65 is not a power of two"},
        {"\"steal\": true", "\"steal\": \"yes\"", "$.policy_params.steal: \"yes\" is not an integer"},
        {"\"steal\": true", "\"a b\": 1", "$.policy_params.a b: not a parameter name"},
        {"\"mib\": 32", "\"mib\": 10000", "$.domains[0].memory.mib: 10000 MiB do not fit, the nodes have 576 MiB"},
        {"\"interleave\"", "\"strict\", \"x\": 1",
         "$.domains[0].memory.x: unknown key, allowed are mib, nodes, policy"},
        {"\"interleave\"", "\"local\"", "$.domains[0].memory.policy: \"local\" is not a memory policy"},
        {"\"nodes\": [0, 2], ", "", "$.domains[0].memory.policy: says how to use the nodes, but none are given"},
        {"\"partner\": 1", "\"partner\": 2",
         "$.domains[0].vcpus[0].workload.partner: vCPU 2 does not play ping-pong with vCPU 0"},
        {"\"token\": false", "\"token\": true", "$.domains[0].vcpus[0].workload.token: exactly one of two"},
        {"\"soft_affinity\": [2, 3]", "\"soft_affinity\": []",
         "$.domains[0].vcpus[1].soft_affinity: an empty list of pCPUs"},
        {"\"id\": 3", "\"id\": 7", "$.domains[1].id: 7 is another domain's"},
        {"\"label\"", "\"placement\": \"best\", \"label\"",
         "$.placement: \"best\" is not a placement, allowed are none, 4.3, numavisor, greedy, packed, spread"},
        {"\"label\"", "\"placement_strict\": true, \"label\"",
         "$.placement_strict: says what becomes of a domain that cannot be placed, but none are placed"},
        {"\"label\"", "\"placement\": \"numavisor\", \"placement_smt\": \"both\", \"label\"",
         "$.placement_smt: \"both\" is not what vCPUs are counted against, allowed are threads, cores"},
        {"\"label\"", "\"placement\": \"4.3\", \"placement_smt\": \"cores\", \"label\"",
         "$.placement_smt: only \"placement\": \"numavisor\" tells cores from threads"},
    };
    for (BadCase const& bad : cases) {
        std::string const line = key_refusal(with(full_scenario, bad.from, bad.to));
        EXPECT_TRUE(line.starts_with(std::string{"f.json: "} + std::string{bad.line}))
            << "changed to " << bad.to << "\nsaid     " << line << "\nwanted   " << bad.line;
    }
}

TEST(ScenarioParser, RefusesTextThatIsNoScenario)
{
    for (char const* const text : {"", "[]", "null", "{", "{\"schema\": 1}", "\xff\xfe", "{} {}", "{\"a\": nul}"})
        EXPECT_TRUE(key_refusal(text).starts_with("f.json:")) << text << ": " << key_refusal(text);
    EXPECT_NE(key_refusal(std::string(5000, '[')).find("nested deeper"), std::string::npos);
}

TEST(ScenarioParser, TheCommandLineChangesWhatTheFileSays)
{
    Overrides const overrides{.seed = 9,
                              .policy = "null",
                              .settings = {"sched.tslice_ms=5", "duration_ns=0x10", "trace.ring_kib=8", "depth=7",
                                           "placement=numavisor", "placement_smt=cores", "placement_strict=true",
                                           "machine.by_turns=true"}};
    Scenario const s = parse_scenario(small_scenario, "f.json", overrides); // Schema 1 gets keys of schema 2.
    EXPECT_EQ(s.run_name(), "small-null-9");
    EXPECT_EQ(s.tslice_ms, 5u);
    EXPECT_EQ(s.duration_ns, 16u);
    EXPECT_EQ(s.trace_ring_kib, 8u);
    EXPECT_EQ(s.placement.rule, sched::placement::Rule::numavisor);
    EXPECT_EQ(s.placement.smt, sched::placement::Smt::cores);
    EXPECT_TRUE(s.placement.strict);
    EXPECT_TRUE(s.machine.by_turns);
    EXPECT_EQ(s.policy_params, (std::vector<std::pair<std::string, std::int64_t>>{{"depth", 7}}));
}

TEST(ScenarioParser, RefusesSettingsThatItDoesNotUnderstand)
{
    std::string const text{small_scenario};
    EXPECT_EQ(key_refusal(text, {.settings = {"depth"}}), "--set depth: give KEY=VALUE");
    EXPECT_EQ(key_refusal(text, {.settings = {"depth=x"}}), "--set depth=x: \"x\" is not an integer, true or false");
    EXPECT_TRUE(key_refusal(text, {.settings = {"sched.tslice=1"}})
                    .starts_with("--set sched.tslice=1: unknown setting, allowed are warmup_ns, "));
    EXPECT_EQ(key_refusal(text, {.settings = {"sched.tslice_ms=0"}}),
              "f.json: $.sched.tslice_ms: 0 is out of range, allowed is 1 to 1000");
}

TEST(ScenarioParser, ReadsEveryScenarioOfTheRepository)
{
    unsigned count{0};
    for (auto const& entry : std::filesystem::directory_iterator{"tests/scenarios"}) {
        if (entry.path().extension() != ".json")
            continue;
        ++count;
        EXPECT_EQ(load_scenario(entry.path()).name, entry.path().stem()) << "a scenario is called as its file is";
    }
    EXPECT_GE(count, 13u);
}

} // namespace
} // namespace hv::nv
