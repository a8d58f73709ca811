// Machines whose pCPUs are known to run side by side, or to take turns of a known length, and what their records tell.
#include "tools/nv/host_turns.hpp"

#include "tests/unit/nv/trace_sample.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace hv::nv {
namespace {

using namespace sample;

constexpr std::uint32_t host_pcpus = 6;
constexpr std::uint64_t us = 1000;

// Each pCPU has a vCPU to run, and writes bursts of five records, 1 us apart.
class Host {
public:
    Host()
    {
        for (std::uint32_t pcpu = 0; pcpu < host_pcpus; ++pcpu) {
            Record record{make(static_cast<std::uint32_t>(Event::continue_running), pcpu + 1,
                               {sched::trace::pack_vcpu(1, static_cast<std::uint16_t>(pcpu))})};
            record.pcpu = pcpu;
            records.push_back(record);
        }
    }

    void burst(std::uint32_t pcpu, std::uint64_t when, Event first, std::uint32_t word)
    {
        for (std::uint64_t i = 0; i < 5; ++i) {
            Record record{make(static_cast<std::uint32_t>(i == 0 ? first : Event::wake), when + i * us, {word})};
            record.pcpu = pcpu;
            records.push_back(record);
        }
    }

    [[nodiscard]] HostTurns heard()
    {
        std::ranges::stable_sort(records, {}, &Record::stamp);
        HostTurns turns{hertz};
        for (Record const& record : records)
            turns.record(record);
        return turns;
    }

    [[nodiscard]] std::uint64_t random(std::uint64_t below) { return random_() % below; }

    std::vector<Record> records;

private:
    std::mt19937_64 random_{1};
};

Host side_by_side(std::uint64_t bursts)
{
    Host host;
    for (std::uint64_t i = 0; i < bursts; ++i)
        host.burst(static_cast<std::uint32_t>(host.random(host_pcpus)), host.random(bursts * 50 * us), Event::wake, 0);
    return host;
}

// Every turn ends after `turn` by the mean. Half of those who have one ask somebody in its midst, who answers when he
// has his.
Host by_turns(std::uint64_t turn, std::uint64_t turns)
{
    Host host;
    std::array<bool, host_pcpus> asked{};
    std::uint64_t now{100 * us};
    for (std::uint64_t i = 0; i < turns; ++i) {
        auto const pcpu = static_cast<std::uint32_t>(i % host_pcpus);
        std::uint64_t const end{now + 20 * us + host.random(2 * (turn - 20 * us))};
        if (std::exchange(asked[pcpu], false))
            host.burst(pcpu, now, Event::schedule, pcpu);
        std::uint64_t const when{now + 10 * us + host.random(end - now - 15 * us)};
        auto const whom = static_cast<std::uint32_t>(host.random(2 * host_pcpus));
        if (whom < host_pcpus && whom != pcpu && when + 5 * us < end) {
            host.burst(pcpu, when, Event::tickle, whom);
            asked[whom] = true;
        }
        now = end;
    }
    return host;
}

TEST(HostTurns, SideBySideOthersWriteInTheMidstOfBursts)
{
    HostTurns const found{side_by_side(20'000).heard()};
    HostTurns::Evidence const evidence{found.evidence()};
    EXPECT_GT(evidence.expected, 1000);
    EXPECT_NEAR(static_cast<double>(evidence.seen) / evidence.expected, 1, 0.15);
    EXPECT_EQ(found.model().pcpus, HostPcpus::side_by_side);
}

TEST(HostTurns, ByTurnsNobodyElseWritesAndTurnsLastAsLongAsTheyDid)
{
    for (std::uint64_t const turn : {200 * us, 1000 * us}) {
        HostTurns const found{by_turns(turn, 20'000).heard()};
        EXPECT_EQ(found.evidence().seen, 0u);
        EXPECT_GT(found.evidence().expected, 10 * HostTurns::enough);
        HostModel const model{found.model()};
        EXPECT_EQ(model.pcpus, HostPcpus::by_turns);
        EXPECT_NEAR(static_cast<double>(model.turn), static_cast<double>(turn), 0.2 * static_cast<double>(turn));
        EXPECT_GE(model.silent, model.turn);
    }
}

TEST(HostTurns, TooLittleTellsNothing)
{
    HostTurns const found{by_turns(1000 * us, 60).heard()};
    EXPECT_LT(found.evidence().expected, HostTurns::enough);
    EXPECT_EQ(found.model().pcpus, HostPcpus::side_by_side);
    EXPECT_EQ(found.by_turns().pcpus, HostPcpus::by_turns);
}

TEST(HostTurns, WhoWaitsForAPcpuThatGoesIdleHasSeenNoTurnEndBeforeItsWork)
{
    Host host;
    std::uint64_t now{100 * us};
    for (std::uint32_t i = 0; i < 100; ++i, now += 1000 * us) {
        host.burst(0, now, Event::tickle, 1);
        Record record{make(sched::trace::runstate_event(State::runnable, State::running), now + 400 * us,
                           {sched::trace::pack_vcpu(idle, 0)})};
        host.records.push_back(record);
        host.burst(1, now + 404 * us, Event::schedule, 1);
    }
    HostTurns const found{host.heard()};
    EXPECT_EQ(found.evidence().ends, 0u);
    EXPECT_EQ(found.by_turns().turn, 0u);
}

} // namespace
} // namespace hv::nv
