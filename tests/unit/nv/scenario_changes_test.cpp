// What scenario files do to their machine while it runs: read, refused, carried out.
#include "tools/nv/errors.hpp"
#include "tools/nv/pack.hpp"
#include "tools/nv/scenario.hpp"
#include "tools/nv/simulation.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hv::nv {
namespace {

using scenario::ChangeKind;

// Two pCPUs; domain 7 has a hog on each, domain 9 one bound to pCPU 1.
std::string with_changes(std::string const& changes)
{
    return R"({"schema": "credit-scenario/2", "name": "c", "seed": 1, "duration_ns": 100000000,
 "machine": {"cpus": [{"cpu": 0, "node": 0, "socket": 0, "core": 0}, {"cpu": 1, "node": 0, "socket": 0, "core": 1}]},
 "domains": [
  {"id": 7, "vcpus": [{"initial_cpu": 0, "workload": {"kind": "hog"}}, {"initial_cpu": 1, "workload": {"kind": "hog"}}]},
  {"id": 9, "hard_affinity": [1], "vcpus": [{"initial_cpu": 1, "workload": {"kind": "hog"}}]}],
 "changes": [)" +
           changes + "]}";
}

std::string refusal_of_changes(std::string const& changes)
{
    try {
        static_cast<void>(parse_scenario(with_changes(changes), "c.json"));
    } catch (Error const& error) {
        return error.what();
    }
    return "";
}

class Running {
public:
    explicit Running(std::string const& changes)
        : image_{pack(parse_scenario(with_changes(changes), "c.json"))}, simulation_{*scenario::validate(image_), {}}
    {
    }
    sched::Domain* domain_at(std::uint16_t id, std::int64_t ms)
    {
        run_to(ms);
        return simulation_.system().core().find(DomainId{id});
    }
    void run_to(std::int64_t ms) { simulation_.run_until(Instant::at(Duration::from_ms(ms))); }
    [[nodiscard]] sched::System& system() { return simulation_.system(); }

private:
    std::vector<std::byte> image_;
    Simulation simulation_;
};

TEST(ScenarioChanges, AreDoneByTimeWhateverTheirOrderInTheFile)
{
    Scenario const read{parse_scenario(
        with_changes(R"({"at_ns": 30, "do": "pcpu_online", "cpu": 1}, {"at_ns": 20, "do": "pcpu_suspend", "cpu": 1},
                        {"at_ns": 20, "do": "pause", "domain": 9})"),
        "c.json")};
    ASSERT_EQ(read.changes.size(), 3u);
    EXPECT_EQ(read.changes[0].kind, ChangeKind::suspend);
    EXPECT_EQ(read.changes[1].kind, ChangeKind::pause);
    EXPECT_EQ(read.changes[1].subject, 1u) << "a row, not an id";
    EXPECT_EQ(read.changes[2].kind, ChangeKind::online);
}

TEST(ScenarioChanges, RefuseWhatCannotBe)
{
    EXPECT_EQ(refusal_of_changes(R"({"at_ns": 1, "do": "unpause", "domain": 7})"),
              "c.json: $.changes[0]: unpause at 1 ns is only for one that is paused then: pause it first");
    EXPECT_EQ(
        refusal_of_changes(R"({"at_ns": 1, "do": "destroy", "domain": 7}, {"at_ns": 2, "do": "pause", "domain": 7})"),
        "c.json: $.changes[1]: pause at 2 ns is only for one that exists then: create it first");
    EXPECT_EQ(refusal_of_changes(
                  R"({"at_ns": 1, "do": "pcpu_offline", "cpu": 0}, {"at_ns": 2, "do": "pcpu_offline", "cpu": 1})"),
              "c.json: $.changes[1]: pcpu_offline at 2 ns is only for one that is not the last");
    EXPECT_EQ(refusal_of_changes(R"({"at_ns": 1, "do": "pcpu_online", "cpu": 0})"),
              "c.json: $.changes[0]: pcpu_online at 1 ns is only for one that is off then: take it offline first");
    EXPECT_EQ(refusal_of_changes(R"({"at_ns": 1, "do": "pause", "domain": 8})"),
              "c.json: $.changes[0].domain: there is no domain 8");
    EXPECT_NE(refusal_of_changes(R"({"at_ns": 1, "do": "leap", "domain": 7})").find("\"leap\" cannot be done"),
              std::string::npos);
    EXPECT_EQ(refusal_of_changes(R"({"at_ns": 1, "do": "pause", "domain": 7, "cpu": 1})"),
              "c.json: $.changes[0].cpu: unknown key, allowed are at_ns, do, domain");
}

TEST(ScenarioChanges, ADomainThatIsPausedRunsNothingUntilItIsUnpaused)
{
    Running running{
        R"({"at_ns": 10000000, "do": "pause", "domain": 7}, {"at_ns": 40000000, "do": "unpause", "domain": 7})"};
    sched::Domain& domain{*running.domain_at(7, 20)};
    EXPECT_TRUE(running.system().core().has_stopped(domain));
    running.run_to(50);
    EXPECT_FALSE(running.system().core().has_stopped(domain));
}

TEST(ScenarioChanges, ADomainEndsAndBeginsAgainAtTheSameInstant)
{
    Running running{
        R"({"at_ns": 20000000, "do": "destroy", "domain": 7}, {"at_ns": 20000000, "do": "create", "domain": 7})"};
    std::uint64_t const first{running.domain_at(7, 10)->serial};
    sched::Domain* const reborn{running.domain_at(7, 30)};
    ASSERT_NE(reborn, nullptr);
    EXPECT_NE(reborn->serial, first);
    EXPECT_FALSE(running.system().core().has_stopped(*reborn));
    EXPECT_EQ(running.system().guests().of(*reborn->vcpus.begin()).number, 0u);
}

TEST(ScenarioChanges, ADomainThatIsCreatedLaterIsNotThereBefore)
{
    Running running{
        R"({"at_ns": 20000000, "do": "create", "domain": 9}, {"at_ns": 60000000, "do": "destroy", "domain": 9})"};
    EXPECT_EQ(running.domain_at(9, 10), nullptr);
    EXPECT_NE(running.domain_at(9, 30), nullptr);
    EXPECT_EQ(running.domain_at(9, 70), nullptr);
}

TEST(ScenarioChanges, ASuspendedPcpuComesBackWithItsVcpu)
{
    Running running{
        R"({"at_ns": 20000000, "do": "pcpu_suspend", "cpu": 1}, {"at_ns": 60000000, "do": "pcpu_online", "cpu": 1})"};
    sched::Vcpu& bound{*running.domain_at(9, 30)->vcpus.begin()};
    EXPECT_TRUE(running.system().is_off(CpuId{1}));
    EXPECT_EQ(bound.processor(), CpuId{0});
    running.run_to(70);
    EXPECT_FALSE(running.system().is_off(CpuId{1}));
    EXPECT_EQ(bound.processor(), CpuId{1});
    EXPECT_EQ(bound.hard_affinity, CpuMask::of(CpuId{1}));
}

} // namespace
} // namespace hv::nv
