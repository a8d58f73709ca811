// Meant for ThreadSanitizer: every registered policy under everything at once, on real threads. See storm.hpp.
//
// NV_STORM_SECONDS is how long all storms together take (10), NV_STORM_SEED what they draw from (1). A seed does not
// make a run repeat itself: threads interleave as they like.
//
// What was broken to see these tests fail, and what told:
//   no lock in Core::wake, or in Core::schedule       assertion: a queue is touched without its lock
//   steal without try_lock                            TSan: race on the queue
//   is_running relaxed on both sides                  TSan: races on contexts and guests
//   lock_processor does not look again                assertion: a queue is touched without its lock
//   context_saved ignores `migrating`                 somebody who may run never does
//   is_running cleared before the context is saved    a context is loaded that runs elsewhere
//   steal takes what is_running                       assertion in Core::schedule
//   finish_migration moves what is_running            assertion: a queue is touched without its lock
//   finish_migration keeps a pick that went stale     a vCPU is switched in where it may not run
//   accounting activates without the private lock     TSan: race on the active list
//   PARKED cleared by load and store                  somebody stays paused
//   pcpu_down waits for nobody                        assertion in the run queue
//   block by load and store                           a game of ping-pong ends
//   accounting arms its timer after the lock          a pCPU that has left does the accounting
//   a grace period that one pCPU alone passes         TSan: use after free
//   a domain ends while its vCPUs run                 what is gone runs
//   a retired guest can be found                      TSan: use after free
//   a pCPU that leaves keeps the guests' timers       timers are armed where nobody is
//   a vCPU is made where no pCPU is any more          it is switched in there
#include "tests/stress/storm.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace hv::test {
namespace {

using sched::PolicyOps;

unsigned long from_environment(char const* name, unsigned long otherwise)
{
    char const* const text{std::getenv(name)};
    return text == nullptr ? otherwise : std::strtoul(text, nullptr, 10);
}

// By name: linkers disagree on the order of the registry.
std::vector<std::string> policy_names()
{
    std::vector<std::string> names;
    for (PolicyOps const* const ops : sched::policies())
        names.emplace_back(ops->name);
    std::ranges::sort(names);
    return names;
}

// What a storm has to have been, else it proves nothing.
struct Least {
    Happening happening;
    char const* name;
    std::uint64_t times;
    bool credit_only{false}; // promised by policies with credit
};
constexpr std::array least{
    Least{Happening::switches, "switches", 2'000},       Least{Happening::wakes, "wake-ups", 1'000},
    Least{Happening::blocks, "waits of guests", 500},    Least{Happening::yields, "yields", 20},
    Least{Happening::migrations, "migrations", 100},     Least{Happening::waits, "waits for a vCPU to stop", 20},
    Least{Happening::departures, "pCPUs that left", 10}, Least{Happening::moves, "moves to another pool", 5},
    Least{Happening::steals, "steals", 50, true},        Least{Happening::births, "domains that came", 50},
    Least{Happening::deaths, "domains that went", 50},   Least{Happening::parks, "parks", 5, true},
};

bool is_rough(Storm const& storm, PolicyOps const& policy)
{
    return std::ranges::all_of(least, [&](Least const& wanted) {
        return (wanted.credit_only && !policy.has_credit) || storm.count(wanted.happening) >= wanted.times;
    });
}

class SchedulerStorm : public testing::TestWithParam<std::string> {
protected:
    // Rounds until the time is up and enough has happened, however fast the host is.
    void weather(StormShape const& shape)
    {
        using namespace std::chrono_literals;
        PolicyOps const& policy{*sched::find_policy(GetParam())};
        unsigned long const seed{from_environment("NV_STORM_SEED", 1)};
        unsigned long const storms{2 * sched::policies().size()};
        auto const share = std::chrono::milliseconds{from_environment("NV_STORM_SECONDS", 10) * 1'000 / storms};
        SCOPED_TRACE("NV_STORM_SEED=" + std::to_string(seed));
        // For those that end in an abort or a report.
        std::fprintf(stderr, "storm: %s, NV_STORM_SEED=%lu\n", GetParam().c_str(), seed);
        Storm storm{policy, shape, seed};
        auto const begin = Storm::Clock::now();
        while (!HasFailure() && (Storm::Clock::now() < begin + share || !is_rough(storm, policy))) {
            storm.round(150ms);
            if (Storm::Clock::now() > begin + share + 2min)
                break;
        }
        for (Least const& wanted : least) {
            if (wanted.credit_only && !policy.has_credit)
                continue;
            EXPECT_GE(storm.count(wanted.happening), wanted.times) << "too few " << wanted.name;
        }
    }
};

TEST_P(SchedulerStorm, FourPcpusOnTwoNodesKeepEveryPromise) { weather({2, 2, 1, {4, 5, 3}}); }

TEST_P(SchedulerStorm, EightThreadsOfFourCoresKeepEveryPromise) { weather({2, 2, 2, {4, 6, 2, 8, 4}}); }

// On 16 pCPUs NV_STORM_DEATHS domains (170) end and a tenth as many pCPUs leave, in each of NV_STORM_SEEDS storms (1),
// which begin with NV_STORM_SEED. make soak has twenty of 500.
TEST_P(SchedulerStorm, DomainsAndPcpusOfALargerMachineComeAndGo)
{
    using namespace std::chrono_literals;
    unsigned long const first{from_environment("NV_STORM_SEED", 1)};
    unsigned long const seeds{from_environment("NV_STORM_SEEDS", 1)};
    unsigned long const deaths{from_environment("NV_STORM_DEATHS", 170)};
    for (unsigned long seed = first; seed < first + seeds && !HasFailure(); ++seed) {
        SCOPED_TRACE("NV_STORM_SEED=" + std::to_string(seed));
        std::fprintf(stderr, "storm: %s, NV_STORM_SEED=%lu\n", GetParam().c_str(), seed);
        Storm storm{*sched::find_policy(GetParam()), {2, 4, 2, {4, 8, 4}}, seed};
        auto const give_up = Storm::Clock::now() + 5min;
        while (!HasFailure() && Storm::Clock::now() < give_up &&
               (storm.count(Happening::deaths) < deaths || storm.count(Happening::departures) < deaths / 10))
            storm.round(200ms);
        EXPECT_GE(storm.count(Happening::deaths), deaths);
        EXPECT_GE(storm.count(Happening::departures), deaths / 10);
    }
}

// In a storm somebody else's event covers for one that is lost; here nobody's does.
TEST_P(SchedulerStorm, NoEventIsLostBetweenBlockAndNotify)
{
    unsigned long const seed{from_environment("NV_STORM_SEED", 1)};
    Storm storm{*sched::find_policy(GetParam()), {2, 2, 1, {2, 2, 2, 2, 2, 2}}, seed};
    storm.play(2'000);
}

INSTANTIATE_TEST_SUITE_P(Policies, SchedulerStorm, testing::ValuesIn(policy_names()),
                         [](auto const& policy) { return policy.param; });

} // namespace
} // namespace hv::test
