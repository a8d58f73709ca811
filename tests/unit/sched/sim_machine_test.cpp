// The simulated machine by its own rules, with a client that only writes down what it is told.
#include "arch/host/sim_machine.hpp"

#include "tests/support/literals.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace hv::arch {
namespace {

using test::cpu;

constexpr Instant at(std::int64_t ns) { return Instant::at_ns(ns); }

class Recorder final : public SimClient {
public:
    void timer(CpuId self, TimerId id, Instant now) override
    {
        log.push_back("timer " + std::to_string(id.value()) + " on " + std::to_string(self.value()) + " at " +
                      std::to_string(now.ns()));
        if (on_timer)
            on_timer(self, id);
    }
    void reschedule(CpuId self, Instant now) override
    {
        log.push_back("reschedule " + std::to_string(self.value()) + " at " + std::to_string(now.ns()));
        if (on_reschedule)
            on_reschedule(self);
    }
    CpuId place_of(TimerId, CpuId armed_on) override { return place.value_or(armed_on); }
    [[nodiscard]] bool is_busy(CpuId cpu) const override { return busy.test(cpu); }
    void turn_ends(CpuId cpu, Instant now) override { note_turn("stops", cpu, now); }
    void turn_begins(CpuId cpu, Instant now) override { note_turn("goes on", cpu, now); }
    void note_turn(char const* what, CpuId cpu, Instant now)
    {
        log.push_back(std::to_string(cpu.value()) + " " + what + " at " + std::to_string(now.ns()));
    }
    void settled(Instant) override { ++settled_count; }

    std::vector<std::string> log;
    std::function<void(CpuId, TimerId)> on_timer;
    std::function<void(CpuId)> on_reschedule;
    std::optional<CpuId> place;
    CpuMask busy; // where pCPUs take turns
    int settled_count{0};
};

class SimMachineTest : public testing::Test {
protected:
    explicit SimMachineTest(SimCosts costs = {}) : machine{shape, costs} { machine.set_client(client); }

    using Log = std::vector<std::string>;
    MachineShape shape{MachineShape::regular(1, 4, 1), 1};
    SimMachine machine;
    Recorder client;
};

class SimMachineWithIpis : public SimMachineTest {
protected:
    SimMachineWithIpis() : SimMachineTest{{.ipi = Duration::from_ns(50), .timer_late = {}}} {}
};

TEST_F(SimMachineTest, HandlesEventsByTimeThenInOrderOfCreation)
{
    machine.arm(cpu(3), TimerId{1}, at(20));
    machine.arm(cpu(2), TimerId{0}, at(10));
    machine.arm(cpu(0), TimerId{2}, at(20));
    machine.arm(cpu(1), TimerId{0}, at(20));
    machine.run_until(at(20));
    EXPECT_EQ(client.log,
              (Log{"timer 0 on 2 at 10", "timer 1 on 3 at 20", "timer 2 on 0 at 20", "timer 0 on 1 at 20"}));
    EXPECT_EQ(machine.events_handled(), 4u);
    EXPECT_EQ(client.settled_count, 4);
}

TEST_F(SimMachineTest, RunsUpToAndIncludingTheEnd)
{
    machine.arm(cpu(0), TimerId{0}, at(10));
    machine.arm(cpu(0), TimerId{1}, at(11));
    machine.run_until(at(10));
    EXPECT_EQ(client.log, (Log{"timer 0 on 0 at 10"}));
    EXPECT_EQ(machine.now(), at(10));
    machine.run_until(at(500));
    EXPECT_EQ(client.log.size(), 2u);
    EXPECT_EQ(machine.now(), at(500));
}

TEST_F(SimMachineTest, ArmingAnArmedTimerReplacesItsTimeAndItsPlaceInTheOrder)
{
    machine.arm(cpu(0), TimerId{0}, at(10));
    machine.arm(cpu(1), TimerId{0}, at(30));
    machine.arm(cpu(0), TimerId{0}, at(30));
    machine.run_until(at(100));
    EXPECT_EQ(client.log, (Log{"timer 0 on 1 at 30", "timer 0 on 0 at 30"}));
}

TEST_F(SimMachineTest, ADisarmedTimerDoesNotFireAndMayBeArmedAgain)
{
    machine.arm(cpu(0), TimerId{0}, at(10));
    machine.disarm(cpu(0), TimerId{0});
    machine.disarm(cpu(1), TimerId{0}); // was not armed
    machine.run_until(at(20));
    EXPECT_TRUE(client.log.empty());
    EXPECT_EQ(machine.events_handled(), 0u);
    machine.arm(cpu(0), TimerId{0}, at(30));
    machine.run_until(at(40));
    EXPECT_EQ(client.log, (Log{"timer 0 on 0 at 30"}));
}

TEST_F(SimMachineTest, ATimeInThePastFiresAtOnceButNotBeforeTheCallerReturned)
{
    client.on_timer = [&](CpuId self, TimerId id) {
        if (id == TimerId{0}) {
            machine.arm(self, TimerId{1}, at(3));
            client.log.emplace_back("returned");
        }
    };
    machine.arm(cpu(0), TimerId{0}, at(10));
    machine.run_until(at(10));
    EXPECT_EQ(client.log, (Log{"timer 0 on 0 at 10", "returned", "timer 1 on 0 at 10"}));
}

TEST_F(SimMachineTest, CarriesOutReschedulesLowestPcpuFirstUntilNoneIsLeft)
{
    client.on_timer = [&](CpuId, TimerId) {
        for (unsigned const c : {3u, 1u, 2u})
            machine.tickle(cpu(c));
    };
    client.on_reschedule = [&](CpuId self) {
        if (self == cpu(2))
            machine.tickle(cpu(0)); // comes before pCPU 3
    };
    machine.arm(cpu(1), TimerId{0}, at(10));
    machine.run_until(at(10));
    EXPECT_EQ(client.log, (Log{"timer 0 on 1 at 10", "reschedule 1 at 10", "reschedule 2 at 10", "reschedule 0 at 10",
                               "reschedule 3 at 10"}));
}

TEST_F(SimMachineTest, RequestsForOnePcpuAreCarriedOutOnce)
{
    client.on_timer = [&](CpuId, TimerId) {
        machine.tickle(cpu(1));
        machine.tickle(cpu(1));
    };
    machine.arm(cpu(0), TimerId{0}, at(10));
    machine.run_until(at(20));
    EXPECT_EQ(client.log, (Log{"timer 0 on 0 at 10", "reschedule 1 at 10"}));
}

TEST_F(SimMachineWithIpis, ARequestToAnotherPcpuArrivesLaterAndOneToItselfAtOnce)
{
    client.on_timer = [&](CpuId, TimerId) {
        machine.tickle(cpu(2));
        machine.tickle(cpu(1));
    };
    machine.arm(cpu(1), TimerId{0}, at(10));
    machine.run_until(at(100));
    EXPECT_EQ(client.log, (Log{"timer 0 on 1 at 10", "reschedule 1 at 10", "reschedule 2 at 60"}));
}

// There is one request flag a pCPU: while an IPI is under way, even a pCPU's own request waits for it.
TEST_F(SimMachineWithIpis, ARequestIsDroppedWhileOneIsUnderWay)
{
    client.on_timer = [&](CpuId self, TimerId id) { machine.tickle(id == TimerId{0} ? cpu(2) : self); };
    machine.arm(cpu(1), TimerId{0}, at(10)); // asks pCPU 2
    machine.arm(cpu(2), TimerId{1}, at(40)); // pCPU 2 asks itself
    machine.run_until(at(100));
    EXPECT_EQ(client.log, (Log{"timer 0 on 1 at 10", "timer 1 on 2 at 40", "reschedule 2 at 60"}));
    machine.arm(cpu(2), TimerId{1}, at(200));
    machine.run_until(at(300));
    EXPECT_EQ(client.log.back(), "reschedule 2 at 200") << "the flag is free again";
}

TEST_F(SimMachineTest, AWakeUpTimerIsHandledWhereItsVcpuIs)
{
    machine.arm(cpu(0), TimerId{16}, at(10));
    client.place = cpu(3);
    machine.run_until(at(10));
    EXPECT_EQ(client.log, (Log{"timer 16 on 3 at 10"}));
}

// Wake-up timers belong to a vCPU: they are told apart by number alone.
TEST_F(SimMachineTest, ArmingAWakeUpTimerOnAnotherPcpuMovesIt)
{
    machine.arm(cpu(0), TimerId{20}, at(10));
    machine.arm(cpu(1), TimerId{20}, at(30));
    machine.run_until(at(50));
    EXPECT_EQ(client.log, (Log{"timer 20 on 1 at 30"}));
}

TEST_F(SimMachineTest, RescheduleAllReachesEveryPcpu)
{
    machine.reschedule_all();
    EXPECT_EQ(client.log, (Log{"reschedule 0 at 0", "reschedule 1 at 0", "reschedule 2 at 0", "reschedule 3 at 0"}));
}

// Scheduler timers are late by one xorshift64 sequence for the whole run; the figures come from its definition.
TEST(SimMachine, SchedulerTimersAreLateByTheSequenceOfTheScenarioFormat)
{
    constexpr std::int64_t late = 50'000;
    MachineShape const shape{MachineShape::regular(1, 2, 1), 1};
    SimMachine machine{shape, {.ipi = {}, .timer_late = Duration::from_ns(late)}};
    Recorder client;
    machine.set_client(client);
    std::uint64_t state{88172645463325252ull};
    auto const draw = [&] {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return static_cast<std::int64_t>(state % (late + 1));
    };
    std::int64_t const first{draw()};
    static_cast<void>(draw()); // Drawn for a timer that is replaced, all the same.
    std::int64_t const third{draw()};
    machine.arm(cpu(0), TimerId{0}, at(1'000'000));
    machine.arm(cpu(1), TimerId{1}, at(2'000'000));
    machine.arm(cpu(1), TimerId{1}, at(3'000'000));
    machine.arm(cpu(1), TimerId{3}, at(4'000'000));  // a guest's phase: exact
    machine.arm(cpu(1), TimerId{16}, at(5'000'000)); // a wake-up: exact
    machine.run_until(at(10'000'000));
    ASSERT_EQ(client.log.size(), 4u);
    EXPECT_EQ(client.log[0], "timer 0 on 0 at " + std::to_string(1'000'000 + first));
    EXPECT_EQ(client.log[1], "timer 1 on 1 at " + std::to_string(3'000'000 + third));
    EXPECT_EQ(client.log[2], "timer 3 on 1 at 4000000");
    EXPECT_EQ(client.log[3], "timer 16 on 1 at 5000000");
}

TEST(SimMachine, MemoryIsZeroedAndAligned)
{
    MachineShape const shape{MachineShape::regular(1, 1, 1), 1};
    SimMachine machine{shape, {}};
    for (std::size_t const align : {std::size_t{1}, std::size_t{64}, std::size_t{4096}}) {
        auto* const memory = static_cast<unsigned char*>(machine.allocate(NodeId{0}, 100, align));
        ASSERT_NE(memory, nullptr);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % align, 0u);
        for (int i = 0; i < 100; ++i)
            ASSERT_EQ(memory[i], 0);
        machine.release(memory, 100);
    }
}

TEST(MachineShape, WorksOutWhoSharesWhat)
{
    MachineShape const shape{MachineShape::regular(2, 2, 2), 2};
    Topology const& topology{shape.topology()};
    EXPECT_EQ(topology.node_count(), 2u);
    EXPECT_EQ(topology.node_of(cpu(5)), NodeId{1});
    EXPECT_EQ(topology.siblings_of(cpu(5)), CpuMask::of(cpu(4)) | CpuMask::of(cpu(5)));
    EXPECT_EQ(topology.pcpus_of(NodeId{1}), CpuMask::first_n(8) - CpuMask::first_n(4));
    EXPECT_TRUE(topology.same_socket(cpu(0), cpu(3)));
    EXPECT_FALSE(topology.same_socket(cpu(3), cpu(4)));
    EXPECT_EQ(topology.distance(NodeId{0}, NodeId{0}), local_distance);
    EXPECT_EQ(topology.distance(NodeId{0}, NodeId{1}), default_remote_distance);
}

class SimMachineByTurns : public SimMachineTest {
protected:
    SimMachineByTurns()
        : SimMachineTest{
              {.ipi = Duration::from_ns(50), .timer_late = {}, .wake = Duration::from_ns(30), .by_turns = true}}
    {
    }
};

TEST_F(SimMachineByTurns, ATimerThatIsDueEndsTheTurnAndWaitsForThatOfItsPcpu)
{
    client.busy = CpuMask::first_n(3);
    machine.arm(cpu(2), TimerId{1}, at(40));
    machine.arm(cpu(3), TimerId{1}, at(60));
    machine.run_until(at(100));
    EXPECT_EQ(client.log,
              (Log{"0 stops at 40", "1 goes on at 40", "1 stops at 60", "2 goes on at 60", "timer 1 on 2 at 60"}));
}

TEST_F(SimMachineByTurns, WhoSetsTheNextDeadlineOfTheMachineEndsItsTurn)
{
    client.busy = CpuMask::first_n(2);
    client.on_timer = [&](CpuId self, TimerId) {
        if (self == cpu(1))
            machine.arm(self, TimerId{2}, at(machine.now() < at(60) ? 200 : 80));
    };
    machine.arm(cpu(1), TimerId{1}, at(40));
    machine.arm(cpu(0), TimerId{1}, at(50));
    machine.arm(cpu(0), TimerId{4}, at(100));
    machine.run_until(at(70));
    EXPECT_EQ(client.log, (Log{"0 stops at 40", "1 goes on at 40", "timer 1 on 1 at 40", "1 stops at 50",
                               "0 goes on at 50", "timer 1 on 0 at 50", "0 stops at 50", "1 goes on at 50"}))
        << "100 is next once 0 is served, 200 was not when 1 set it";
    client.log.clear();
    machine.arm(cpu(1), TimerId{2}, at(80));
    machine.run_until(at(75));
    EXPECT_EQ(client.log, (Log{"1 stops at 70", "0 goes on at 70"}));
}

TEST_F(SimMachineByTurns, ATimerThatIsSetAnewOrDisarmedIsNotServedLate)
{
    client.busy = CpuMask::first_n(3);
    machine.arm(cpu(2), TimerId{1}, at(40));
    machine.arm(cpu(2), TimerId{2}, at(41));
    machine.run_until(at(40));
    machine.disarm(cpu(2), TimerId{1});
    machine.run_until(at(50));
    machine.arm(cpu(2), TimerId{2}, at(90));
    machine.run_until(at(100));
    EXPECT_EQ(client.log,
              (Log{"0 stops at 40", "1 goes on at 40", "1 stops at 41", "2 goes on at 41", "timer 2 on 2 at 41",
                   "2 stops at 50", "0 goes on at 50", "0 stops at 90", "1 goes on at 90"}))
        << "50 it was when 2 set the next deadline";
}

TEST_F(SimMachineByTurns, ARequestWaitsUntilWhoeverHasTheTurnHasNothingToDo)
{
    constexpr TimerId phase{3};
    client.busy = CpuMask::of(cpu(0));
    client.on_timer = [&](CpuId, TimerId) {
        if (machine.now() == at(10)) {
            machine.tickle(cpu(2));
            machine.arm(cpu(0), phase, at(100));
        } else {
            client.busy = {};
        }
    };
    machine.arm(cpu(0), phase, at(10));
    machine.run_until(at(1000));
    EXPECT_EQ(client.log, (Log{"timer 3 on 0 at 10", "timer 3 on 0 at 100", "reschedule 2 at 150"}));
}

TEST_F(SimMachineByTurns, ATurnMayEndBetweenAWakeUpAndItsDecision)
{
    client.busy = CpuMask::of(cpu(0)) | CpuMask::of(cpu(3));
    client.on_timer = [&](CpuId self, TimerId id) {
        if (id == TimerId{16})
            machine.tickle(self);
    };
    machine.arm(cpu(2), TimerId{16}, at(10));
    machine.arm(cpu(1), TimerId{1}, at(30));
    machine.arm(cpu(1), TimerId{2}, at(500));
    machine.run_until(at(1000));
    EXPECT_EQ(client.log,
              (Log{"0 stops at 10", "timer 16 on 2 at 10", "3 goes on at 30", "3 stops at 500", "0 goes on at 500"}));
}

class SimMachineTurnLengths : public SimMachineTest {
protected:
    SimMachineTurnLengths()
        : SimMachineTest{{.ipi = {}, .timer_late = {}, .wake = {}, .by_turns = true, .turn = Duration::from_ns(1000)}}
    {
    }
};

TEST_F(SimMachineTurnLengths, TurnsThatSomethingElseEndsLastAsLongByTheMean)
{
    client.busy = CpuMask::first_n(2);
    machine.run_until(at(1'000'000));
    std::size_t const turns{client.log.size() / 2}; // "stops", "goes on"
    EXPECT_NEAR(static_cast<double>(turns), 1000, 60);
    EXPECT_NE(client.log[2], "1 stops at 2000");
}

} // namespace
} // namespace hv::arch
