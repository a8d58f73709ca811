// The memory cost model and its workloads in scenario files, from the text to the kernel's image.
#include "boot/scenario/image.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/pack.hpp"
#include "tools/nv/scenario.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>

namespace hv::nv {
namespace {

using namespace scenario;

std::string file(std::string_view model, std::string_view first, std::string_view second = R"({"kind": "hog"})")
{
    return fmt::format(R"({{"schema": "credit-scenario/2", "name": "m", "seed": 1, "duration_ns": 1000,{}
 "machine": {{"cpus": [{{"cpu": 0, "node": 0, "socket": 0, "core": 0}}]}},
 "domains": [{{"id": 1, "vcpus": [{{"initial_cpu": 0, "workload": {}}}, {{"initial_cpu": 0, "workload": {}}}]}}]}})",
                       model.empty() ? "" : fmt::format("\"memory_model\": {},", model), first, second);
}

std::string model_refusal(std::string const& text, Overrides const& overrides = {})
{
    try {
        static_cast<void>(parse_scenario(text, "f", overrides));
    } catch (Error const& error) {
        return error.what();
    }
    return "";
}

constexpr char const* jbb = R"({"kind": "jbb"})";
constexpr char const* named = "\"westmere-e5620\"";

TEST(ScenarioModel, ANameGivesTheSet)
{
    Scenario const s{parse_scenario(file(named, jbb), "f")};
    EXPECT_EQ(s.memory_model->name, "westmere-e5620");
    EXPECT_EQ(s.memory_model->params, sched::guest::named_models().front().params);
    EXPECT_EQ(s.domains[0].vcpus[0].workload.run_max_ns, 3'000'000u);
    EXPECT_FALSE(parse_scenario(file("", R"({"kind": "hog"})"), "f").memory_model);
}

TEST(ScenarioModel, AChangedSetIsCalledSo)
{
    Scenario const s{parse_scenario(
        file(R"({"set": "westmere-e5620-a", "remote_permille": 1200, "classes": {"fork": {"traffic_mbps": 7}}})", jbb),
        "f")};
    EXPECT_EQ(s.memory_model->name, "westmere-e5620-a+");
    EXPECT_EQ(s.memory_model->params.remote_permille, 1200u);
    EXPECT_EQ(s.memory_model->params.of(sched::guest::TaskClass::fork).traffic_mbps, 7u);
    EXPECT_EQ(s.memory_model->params.of(sched::guest::TaskClass::jbb).stall_permille, 440u);
}

TEST(ScenarioModel, TheCommandLineChangesAModelThatIsGivenByName)
{
    Overrides const overrides{.settings = {"memory_model.remote_permille=2000"}};
    Scenario const s{parse_scenario(file(named, jbb), "f", overrides)};
    EXPECT_EQ(s.memory_model->params.remote_permille, 2000u);
    EXPECT_EQ(s.memory_model->name, "westmere-e5620+");
}

TEST(ScenarioModel, RefusalsNameThePlaceAndWhatIsAllowed)
{
    for (auto const& [text, expected] : std::vector<std::pair<std::string, std::string>>{
             {file("", jbb), "\"jbb\" is work of the memory cost model, and there is none"},
             {file("\"epyc\"", jbb), "$.memory_model: \"epyc\" is not a memory cost model, allowed are westmere-e5620"},
             {file(R"({"remote_permille": 999})", jbb), "$.memory_model.remote_permille: 999 is out of range"},
             {file(R"({"speed": 1})", jbb), "speed"},
             {file(R"({"classes": {"hog": {}}})", jbb), "hog"},
             {file(named, R"({"kind": "jbb", "run_ns": [3, 2]})"), "the range [3, 2] is empty"},
             {file(named, R"({"kind": "cpu", "run_ns": [1, 2]})"), "run_ns"},
             {file(named, R"({"kind": "fork", "partner": 1, "parent": true})"), "does not fork with vCPU 0"},
             {file(named, R"({"kind": "fork", "partner": 1, "parent": true})",
                   R"({"kind": "fork", "partner": 0, "parent": true})"),
              "exactly one of two that fork is the parent"}})
        EXPECT_NE(model_refusal(text).find(expected), std::string::npos) << model_refusal(text);
}

TEST(ScenarioModel, IsNotForAMachineWhosePcpusTakeTurns)
{
    Overrides const by_turns{.settings = {"machine.by_turns=true"}};
    Scenario s{parse_scenario(file("", R"({"kind": "hog"})"), "f", by_turns)};
    ASSERT_TRUE(validate(pack(s)).ok());
    EXPECT_TRUE(validate(pack(s))->by_turns());
    EXPECT_NE(
        model_refusal(file(named, jbb), by_turns).find("$.machine: by_turns and a memory_model do not go together"),
        std::string::npos);
    s = parse_scenario(file(named, jbb), "f");
    ASSERT_TRUE(validate(pack(s)).ok());
    EXPECT_FALSE(validate(pack(s))->by_turns());
    s.machine.by_turns = true;
    EXPECT_THROW(static_cast<void>(pack(s)), Error);
}

TEST(ScenarioModel, TheImageCarriesItWhole)
{
    Scenario const s{parse_scenario(file(R"({"link_mbps": 1234})", R"({"kind": "fork", "partner": 1, "parent": true})",
                                         R"({"kind": "fork", "partner": 0, "parent": false, "beside_ns": [5, 6]})"),
                                    "f")};
    std::vector<std::byte> const image{pack(s)};
    auto const view = validate(image);
    ASSERT_TRUE(view.ok());
    ASSERT_NE(view->model(), nullptr);
    EXPECT_EQ(ScenarioView::text(view->model()->name), "westmere-e5620+");
    EXPECT_EQ(view->model()->link_mbps, 1234u);
    EXPECT_EQ(view->model()->classes[0].refill_node_ns, 500'000u);
    EXPECT_EQ(view->all_vcpus()[0].has_token, 1u);
    EXPECT_EQ(view->all_vcpus()[1].kind, WorkloadKind::fork);
    EXPECT_EQ(view->all_vcpus()[1].block_max_ns, 6u);
    EXPECT_EQ(validate(pack(parse_scenario(file("", R"({"kind": "hog"})"), "f")))->model(), nullptr);
}

// Every field of the model's record, one too far.
TEST(ScenarioModel, AnImageWithAWrongParameterIsRefusedByField)
{
    std::vector<std::byte> const good{pack(parse_scenario(file(named, jbb), "f"))};
    Header header{};
    std::memcpy(&header, good.data(), sizeof header);
    std::size_t const model{header.tables[static_cast<std::size_t>(Table::model)].offset};
    auto const with = [&](std::size_t offset, std::uint32_t value) {
        std::vector<std::byte> image{good};
        std::memcpy(image.data() + offset, &value, sizeof value);
        std::uint32_t const sum{image_checksum(image)};
        std::memcpy(image.data() + offsetof(Header, checksum), &sum, sizeof sum);
        auto const view = validate(image);
        return view.ok() ? std::string{} : std::string{view.error().field};
    };
    EXPECT_EQ(with(model + offsetof(ModelRecord, remote_permille), 999), "model.remote_permille");
    EXPECT_EQ(with(model + offsetof(ModelRecord, remote_permille), 1'000), "");
    EXPECT_EQ(with(model + offsetof(ModelRecord, node_mbps), 0), "model.node_mbps");
    EXPECT_EQ(with(model + offsetof(ModelRecord, link_mbps), 0), "model.link_mbps");
    EXPECT_EQ(with(model + offsetof(ModelRecord, queueing_permille), 2'001), "model.queueing_permille");
    std::size_t const last{model + offsetof(ModelRecord, classes) + 3 * sizeof(ModelClassRecord)};
    EXPECT_EQ(with(last + offsetof(ModelClassRecord, stall_permille), 1'001), "model.stall_permille");
    EXPECT_EQ(with(last + offsetof(ModelClassRecord, sibling_speed_permille), 0), "model.sibling_speed_permille");
    EXPECT_EQ(with(last + offsetof(ModelClassRecord, sibling_stall_permille), 0), "model.sibling_stall_permille");
    EXPECT_EQ(with(last + offsetof(ModelClassRecord, traffic_mbps), 1'000'001), "model.traffic_mbps");
    EXPECT_EQ(with(last + offsetof(ModelClassRecord, refill_node_ns), 1'000'000'001), "model.refill_node_ns");
}

} // namespace
} // namespace hv::nv
