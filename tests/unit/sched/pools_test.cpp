// Pools: pCPUs and domains that move between policy instances of different kinds, under load. The numbers are those of
// the table of historical faults (docs/regressions.md).
#include "sched/system.hpp"

#include "tests/support/sim_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace hv::sched {
namespace {

using namespace test;

class PoolsOf : public testing::TestWithParam<std::pair<char const*, char const*>> {
protected:
    static constexpr unsigned pcpu_count = 8;
    Sim sim{arch::MachineShape::regular(2, 2, 2), 2, {.policy = find_policy(GetParam().first)}};

    [[nodiscard]] std::size_t in_use()
    {
        return sim.machine().bytes_in_use(node(0)) + sim.machine().bytes_in_use(node(1));
    }
    [[nodiscard]] static std::string_view other() { return GetParam().second; }
    PoolId make(std::string_view name, std::string_view policy)
    {
        auto const made = sim.core().create_pool(*find_policy(policy), name);
        EXPECT_TRUE(made.ok());
        return *made;
    }
    Status<CoreError> remove(unsigned which, unsigned by = 0)
    {
        Status<CoreError> result{done};
        sim.on(by, [&](CpuId self, Instant now) { result = sim.system().remove_from_pool(self, cpu(which), now); });
        return result;
    }
    Status<CoreError> add(unsigned which, PoolId pool, unsigned by = 0)
    {
        Status<CoreError> result{done};
        sim.on(by, [&] { result = sim.system().add_to_pool(cpu(which), pool); });
        return result;
    }
    Status<CoreError> move(Domain& domain, PoolId pool, unsigned by = 0)
    {
        Status<CoreError> result{done};
        sim.on(by, [&](CpuId self, Instant now) { result = sim.core().move_domain(self, domain, pool, now); });
        return result;
    }
    Status<CoreError> end(PoolId pool)
    {
        Status<CoreError> result{done};
        sim.on(0, [&](CpuId self, Instant now) { result = sim.system().destroy_pool(self, pool, now); });
        return result;
    }
    // A pool of the second policy with these pCPUs.
    PoolId other_pool(std::initializer_list<unsigned> pcpus)
    {
        PoolId const pool{make("other", other())};
        for (unsigned const one : pcpus) {
            EXPECT_TRUE(remove(one).ok());
            EXPECT_TRUE(add(one, pool).ok());
        }
        return pool;
    }
    [[nodiscard]] CpuMask members(PoolId pool) { return sim.core().find_pool(pool)->members(); }
    void pin(Vcpu& vcpu, CpuMask const& mask)
    {
        sim.on(0,
               [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().set_hard_affinity(self, vcpu, mask, now).ok()); });
    }
    Domain& loaded(unsigned count, PoolId pool = {}, DomainParams params = {})
    {
        Domain& domain{sim.domain(params)};
        for (unsigned i = 0; i < count; ++i) {
            guest::Workload const work{i % 3 == 0   ? periodic(ms(3), us(400), us(100 * i))
                                       : i % 3 == 1 ? burst(us(200), ms(2), us(100), ms(2))
                                                    : guest::Workload{}};
            sim.start(sim.guest(domain, i % pcpu_count, work, i));
        }
        if (pool != PoolId{}) {
            EXPECT_TRUE(move(domain, pool).ok());
        }
        return domain;
    }
    // Whoever ran since the last look ran on a pCPU of its domain's pool, as it is now; and everybody did.
    void expect_all_run_at_home(std::initializer_list<Domain*> domains, Duration within)
    {
        sim.switches().clear();
        sim.run(within);
        for (Domain* const domain : domains) {
            for (Vcpu& vcpu : domain->vcpus) {
                bool ran{sim.runs(vcpu)};
                for (auto const& one : sim.switches()) {
                    if (one.to != &vcpu)
                        continue;
                    ran = true;
                    EXPECT_TRUE(domain->pool->members().test(one.on)) << "domain " << domain->id.value();
                    EXPECT_TRUE(vcpu.hard_affinity.test(one.on));
                }
                EXPECT_TRUE(ran) << "domain " << domain->id.value() << " vCPU " << vcpu.index.value();
                EXPECT_TRUE(domain->pool->members().test(vcpu.processor()));
            }
        }
        EXPECT_TRUE(sim.core().is_consistent());
    }
};

TEST_P(PoolsOf, EachPoolRunsItsOwnDomainsOnItsOwnPcpus)
{
    Domain& first{loaded(7)};
    PoolId const pool{other_pool({2, 3, 6})};
    Domain& second{loaded(7, pool)};
    EXPECT_EQ(members(pool), cpus({2, 3, 6}));
    EXPECT_EQ(members(PoolId{}), cpus({0, 1, 4, 5, 7}));
    EXPECT_EQ(sim.core().find_pool("other"), second.pool);
    expect_all_run_at_home({&first, &second}, ms(1'000));
}

TEST_P(PoolsOf, AMovedDomainGoesOnWithWhatIsSetForIt)
{
    PoolId const pool{other_pool({2, 3, 6})};
    Domain& domain{loaded(6, {}, {.weight = 512, .cap = 0})};
    Domain& stays{loaded(6)};
    pin(*domain.vcpus.begin(), cpus({1, 2, 6}));
    pin(*std::next(domain.vcpus.begin()), cpus({0, 1}));
    sim.run(ms(50));
    for (PoolId const to : {pool, PoolId{}, pool}) {
        EXPECT_TRUE(move(domain, to, 5).ok());
        EXPECT_EQ(domain.pool, sim.core().find_pool(to));
        EXPECT_EQ(domain.params.weight, 512);
        EXPECT_EQ(domain.vcpus.begin()->hard_affinity, cpus({1, 2, 6})) << "a part of it is in either pool";
        expect_all_run_at_home({&domain, &stays}, ms(400));
    }
    EXPECT_EQ(std::next(domain.vcpus.begin())->hard_affinity, CpuMask::first_n(pcpu_count))
        << "nothing of it was there";
    EXPECT_EQ(std::next(domain.vcpus.begin())->affinity_broken, false);
}

// 36: what a cap had stopped, nobody in the new pool would have let go on.
TEST_P(PoolsOf, AVcpuThatItsCapHasStoppedRunsInTheNewPool)
{
    PoolId const pool{other_pool({2, 3})};
    Domain& domain{sim.domain({.weight = 256, .cap = 10})};
    Vcpu& vcpu{sim.hog(domain, 1).vcpu};
    sim.start(*static_cast<guest::Guest*>(vcpu.guest));
    PoolId to{pool};
    for (unsigned moves = 0; moves < 4; ++moves) {
        for (unsigned tries = 0; tries < 400 && vcpu.pause_count.load() == 0; ++tries)
            sim.run(ms(1));
        EXPECT_TRUE(move(domain, to).ok());
        EXPECT_EQ(vcpu.pause_count.load(), 0u);
        Duration const before{sim.spent(vcpu, RunState::running)};
        sim.run(ms(1'000));
        EXPECT_GT(sim.spent(vcpu, RunState::running) - before, ms(50));
        if (domain.pool->ops().name != "null") {
            EXPECT_LT(sim.spent(vcpu, RunState::running) - before, ms(200)) << "the cap has gone with it";
        }
        to = to == pool ? PoolId{} : pool;
    }
}

// 62, 83
TEST_P(PoolsOf, APcpuThatJoinsALoadedPoolHasWorkAtOnce)
{
    PoolId const pool{other_pool({2})};
    Domain& domain{sim.domain()};
    for (unsigned i = 0; i < 3; ++i)
        sim.start(sim.hog(domain, 2));
    EXPECT_TRUE(move(domain, pool).ok());
    sim.run(ms(5));
    EXPECT_TRUE(remove(3).ok());
    EXPECT_TRUE(add(3, pool).ok());
    sim.run(ms(1));
    EXPECT_EQ(sim.idles(3), other() == "null") << "which moves nobody";
}

// 43
TEST_P(PoolsOf, AFreePcpuIsLeftAlone)
{
    Domain& domain{loaded(12)};
    sim.run(ms(20));
    EXPECT_TRUE(remove(3).ok());
    EXPECT_TRUE(sim.system().is_free(cpu(3)));
    EXPECT_TRUE(sim.machine().armed_on(cpu(3)).empty());
    sim.heard().clear();
    expect_all_run_at_home({&domain}, ms(500));
    EXPECT_TRUE(sim.idles(3));
    EXPECT_TRUE(sim.machine().armed_on(cpu(3)).empty());
    for (auto const& one : sim.heard_of(trace::Event::tickle))
        EXPECT_NE(one.words.front(), 3u);
}

// 87
TEST_P(PoolsOf, ATickThatIsDueWhenItsPcpuLeavesIsOfNoConsequence)
{
    Domain& domain{loaded(12)};
    PoolId const pool{make("other", other())};
    sim.run_to(ms(100));
    EXPECT_TRUE(remove(3).ok());
    EXPECT_TRUE(add(3, pool).ok());
    sim.run_to(ms(200));
    EXPECT_TRUE(remove(3).ok());
    EXPECT_TRUE(add(3, PoolId{}).ok());
    expect_all_run_at_home({&domain}, ms(500));
}

// 45: whoever wakes need not be of the pool.
TEST_P(PoolsOf, APcpuOfOnePoolWakesVcpusOfAnother)
{
    PoolId const pool{other_pool({2, 3, 6})};
    Vcpu& here{sim.vcpu(0)};
    Vcpu& there{sim.vcpu(1)};
    sim.start_asleep(here);
    sim.start_asleep(there);
    EXPECT_TRUE(move(there.domain, pool).ok());
    Domain& busy{loaded(9)};
    Domain& busy_there{loaded(9, pool)};
    for (unsigned i = 0; i < 50; ++i) {
        for (auto const& pair : {std::pair{&here, 2u}, std::pair{&there, 5u}}) {
            Vcpu* const vcpu{pair.first};
            sim.wake(*vcpu, pair.second);
            for (unsigned tries = 0; tries < 400 && !sim.runs(*vcpu); ++tries)
                sim.run(ms(1));
            ASSERT_TRUE(sim.runs(*vcpu));
            EXPECT_TRUE(vcpu->pool->members().test(vcpu->processor()));
            sim.on(vcpu->processor().value(),
                   [&, vcpu](CpuId self, Instant now) { EXPECT_TRUE(sim.core().block(self, *vcpu, now)); });
        }
    }
    expect_all_run_at_home({&busy, &busy_there}, ms(500));
}

// 40, 42, 60: a domain ends where it is, and its pool stays until it is gone.
TEST_P(PoolsOf, EndingDomainsAndPoolsLeavesNothingBehind)
{
    std::size_t const before{in_use()};
    PoolId const pool{other_pool({2, 3, 6})};
    Domain& domain{loaded(7, pool)};
    sim.run(ms(30));
    EXPECT_EQ(end(pool).error(), CoreError::in_use);
    EXPECT_EQ(remove(2).ok() && remove(3).ok(), true);
    EXPECT_EQ(remove(6).error(), CoreError::last_pcpu);
    sim.on(2, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().destroy(self, domain, now).ok()); });
    EXPECT_TRUE(add(2, pool).ok());
    EXPECT_TRUE(end(pool).ok());
    EXPECT_EQ(sim.core().find_pool("other"), nullptr);
    for (unsigned const one : {2u, 3u, 6u}) {
        EXPECT_TRUE(sim.system().is_free(cpu(one)));
        EXPECT_TRUE(add(one, PoolId{}).ok());
    }
    sim.run(ms(30));
    EXPECT_EQ(in_use(), before);
}

TEST_P(PoolsOf, ADomainThatEndsOnItsWayIsGone)
{
    std::size_t const before{in_use()};
    PoolId const pool{other_pool({2, 3, 6})};
    Domain& domain{loaded(7)};
    sim.run(ms(30));
    sim.hold_contexts(); // So it cannot stop.
    EXPECT_TRUE(move(domain, pool, 3).ok());
    EXPECT_EQ(domain.pool, &sim.pool());
    EXPECT_EQ(move(domain, PoolId{}).error(), CoreError::busy);
    sim.on(2, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().destroy(self, domain, now).ok()); });
    EXPECT_EQ(end(pool).error(), CoreError::in_use);
    sim.save_contexts();
    sim.run(ms(1));
    EXPECT_TRUE(end(pool).ok());
    for (unsigned const one : {2u, 3u, 6u})
        EXPECT_TRUE(add(one, PoolId{}).ok());
    sim.run(ms(30));
    EXPECT_EQ(in_use(), before);
}

TEST_P(PoolsOf, WhatCannotBeIsRefusedAndChangesNothing)
{
    PoolId const pool{make("other", other())};
    EXPECT_EQ(sim.core().create_pool(*find_policy("null"), "other").error(), CoreError::exists);
    EXPECT_EQ(sim.core().create_pool(*find_policy("null"), "").error(), CoreError::exists);
    EXPECT_EQ(sim.core().rename_pool(pool, "Pool-0").error(), CoreError::exists);
    EXPECT_TRUE(sim.core().rename_pool(pool, "other").ok());
    EXPECT_TRUE(sim.core().rename_pool(pool, "another").ok());
    Domain& domain{loaded(3)};
    EXPECT_EQ(move(domain, pool).error(), CoreError::no_pcpu);
    EXPECT_EQ(sim.core().create_domain(DomainId{77}, pool).error(), CoreError::no_pcpu);
    EXPECT_EQ(move(domain, PoolId{9}).error(), CoreError::ending);
    EXPECT_EQ(add(1, pool).error(), CoreError::busy) << "it is in a pool";
    EXPECT_EQ(end(PoolId{}).error(), CoreError::in_use);
    for (unsigned i = 1; i < pcpu_count; ++i)
        EXPECT_TRUE(remove(i).ok());
    EXPECT_EQ(remove(0).error(), CoreError::last_pcpu);
    EXPECT_EQ(remove(1).error(), CoreError::busy) << "it has left";
    EXPECT_EQ(add(1, PoolId{9}).error(), CoreError::ending);
    EXPECT_TRUE(sim.system().is_free(cpu(1)));
    EXPECT_TRUE(add(1, pool).ok());
    Vcpu& vcpu{*domain.vcpus.begin()};
    sim.on(0, [&](CpuId self, Instant now) {
        EXPECT_EQ(sim.core().set_hard_affinity(self, vcpu, cpus({1}), now).error(), CoreError::empty_affinity);
    });
    expect_all_run_at_home({&domain}, ms(500));
    for (std::size_t i = 2; i < most_pools; ++i)
        make(std::to_string(i), "null");
    EXPECT_EQ(sim.core().create_pool(*find_policy("null"), "more").error(), CoreError::too_many);
}

TEST_P(PoolsOf, APcpuThatWasOffComesBackIntoItsPoolOrIntoTheBootPool)
{
    PoolId const pool{other_pool({2, 3})};
    auto const offline = [&](unsigned which) {
        sim.on(0, [&](CpuId self, Instant now) {
            EXPECT_TRUE(sim.system().offline(self, cpu(which), Absence::for_good, now).ok());
        });
        EXPECT_TRUE(sim.system().is_off(cpu(which)));
    };
    auto const online = [&](unsigned which) { sim.on(0, [&] { EXPECT_TRUE(sim.system().online(cpu(which)).ok()); }); };
    offline(2);
    EXPECT_EQ(members(pool), cpus({3}));
    online(2);
    EXPECT_EQ(members(pool), cpus({2, 3}));
    offline(3);
    EXPECT_TRUE(end(pool).ok());
    EXPECT_TRUE(sim.system().is_off(cpu(3))) << "off, though its pool has gone";
    EXPECT_TRUE(sim.system().is_free(cpu(2)));
    EXPECT_FALSE(sim.core().look_at_pool(PoolId{1}));
    offline(2);
    online(2);
    online(3);
    EXPECT_EQ(sim.pool().members().count(), pcpu_count);
}

// 34, 54: a preference outside the pool is none, and a vCPU is born inside.
TEST_P(PoolsOf, PoolsByNodeWithPreferencesForTheOtherNode)
{
    PoolId const pool{other_pool({4, 5, 6, 7})};
    Domain& here{loaded(6)};
    Domain& there{loaded(6, pool)};
    EXPECT_TRUE(sim.core().set_node_affinity(here, NodeMask::of(node(1)), sim.now()).ok());
    EXPECT_TRUE(sim.core().set_node_affinity(there, NodeMask::of(node(0)), sim.now()).ok());
    auto const made = sim.core().create_domain(DomainId{77}, pool);
    ASSERT_TRUE(made.ok());
    guest::Guest& born{sim.hog(**made, 0)};
    EXPECT_TRUE(members(pool).test(born.vcpu.processor()));
    sim.start(born);
    expect_all_run_at_home({&here, &there, *made}, ms(500));
}

// 11, 14, 61 and what else there is: at random.
TEST_P(PoolsOf, WhateverMovesEverybodyRunsInItsPool)
{
    for (unsigned seed = 1; seed <= 3; ++seed) {
        std::mt19937 random{seed};
        PoolId const pools[]{{}, make("a" + std::to_string(seed), other()), make("b" + std::to_string(seed), "null")};
        Domain* const domains[]{&loaded(5), &loaded(3, {}, {.weight = 256, .cap = 50}), &loaded(8)};
        for (unsigned step = 0; step < 150; ++step) {
            unsigned const which{static_cast<unsigned>(random() % pcpu_count)};
            PoolId const pool{pools[random() % 3]};
            unsigned const by{static_cast<unsigned>(random() % pcpu_count)};
            switch (random() % 4) {
            case 0:
                static_cast<void>(remove(which, by));
                break;
            case 1:
            case 2:
                static_cast<void>(add(which, pool, by));
                break;
            default:
                static_cast<void>(move(*domains[random() % 3], pool, by));
            }
            for (unsigned i = 0; i < pcpu_count; ++i) {
                Pcpu const& pcpu{sim.pool().pcpu(cpu(i))};
                ASSERT_EQ(pcpu.idle->pool, pcpu.pool) << "seed " << seed << " step " << step;
            }
            sim.run(us(static_cast<std::int64_t>(random() % 8'000)));
            ASSERT_TRUE(sim.core().is_consistent()) << "seed " << seed << " step " << step;
        }
        expect_all_run_at_home({domains[0], domains[1], domains[2]}, ms(2'000));
        for (Domain* const domain : domains)
            sim.on(0, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().destroy(self, *domain, now).ok()); });
        for (PoolId const pool : pools) {
            if (pool != PoolId{}) {
                EXPECT_TRUE(end(pool).ok());
            }
        }
        for (unsigned i = 0; i < pcpu_count; ++i)
            static_cast<void>(add(i, PoolId{}));
        EXPECT_EQ(sim.pool().members().count(), pcpu_count);
    }
}

INSTANTIATE_TEST_SUITE_P(Policies, PoolsOf,
                         testing::Values(std::pair{"credit", "credit"}, std::pair{"credit", "numacredit"},
                                         std::pair{"numacredit", "credit"}, std::pair{"numacredit", "numacredit"},
                                         std::pair{"null", "numacredit"}, std::pair{"credit", "null"}),
                         [](auto const& instance) {
                             return std::string{instance.param.first} + "_" + instance.param.second;
                         });

// 48
TEST(PoolParameters, AnInstanceHasItsOwnAndItsCreditFollowsItsPcpus)
{
    Sim sim{4};
    auto const id = sim.core().create_pool(*find_policy("credit"), "fast");
    ASSERT_TRUE(id.ok());
    Pool& fast{*sim.core().find_pool(*id)};
    EXPECT_TRUE(Core::set_policy_param(fast, "tslice_ms", 10).ok());
    for (unsigned const one : {2u, 3u}) {
        sim.on(0,
               [&](CpuId self, Instant now) { EXPECT_TRUE(sim.system().remove_from_pool(self, cpu(one), now).ok()); });
        sim.on(0, [&] { EXPECT_TRUE(sim.system().add_to_pool(cpu(one), *id).ok()); });
        EXPECT_TRUE(sim.core().is_consistent()); // credit = pCPUs x credits per slice is part of it
    }
    EXPECT_TRUE(Core::set_policy_param(fast, "tslice_ms", 20).ok());
    sim.on(0, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.system().remove_from_pool(self, cpu(2), now).ok()); });
    EXPECT_TRUE(sim.core().is_consistent());
    EXPECT_EQ(Core::policy_param(fast, "tslice_ms"), 20);
    EXPECT_EQ(sim.core().policy_param("tslice_ms"), 30);
}

} // namespace
} // namespace hv::sched
