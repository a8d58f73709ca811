// What is explored: a machine in some state, and what its three pCPUs then do at once.
#include "tests/explorer/programs.hpp"

namespace hv::explorer {

using sched::Absence;
using sched::Domain;
using sched::Vcpu;

namespace {

using namespace programs;

constexpr Duration a_while{Duration::from_ms(5)}; // longer than any rate limit

// --- states to begin with

// Number `which`, at home on pCPU `home`, of a domain of its own.
Vcpu& add(Machine& machine, unsigned which, unsigned home, std::initializer_list<unsigned> hard = {0, 1, 2},
          std::initializer_list<unsigned> soft = {}, bool blocked = false, sched::DomainParams params = {})
{
    Domain& domain{machine.domain(which + 1, params)};
    if (which < machine.domains.size())
        machine.domains[which] = &domain;
    Vcpu& vcpu{machine.vcpu(domain, home, hard, soft)};
    machine.vcpus[which] = &vcpu;
    machine.start(vcpu, blocked);
    return vcpu;
}

void one_runs(Machine& machine)
{
    add(machine, 0, 0);
    machine.pass(a_while);
}

// pCPU 0 runs one that may run there only, another one sleeps there; the others idle.
void one_sleeps_beside_a_hog(Machine& machine)
{
    add(machine, 1, 0, {0});
    add(machine, 0, 0, {0, 1, 2}, {}, true);
    machine.pass(a_while);
}

// Every pCPU runs one that may run there only; one sleeps on pCPU 0.
void one_sleeps_and_all_are_busy(Machine& machine)
{
    for (unsigned i = 0; i < pcpu_count; ++i)
        add(machine, i + 1, i, {i});
    add(machine, 0, 0, {0, 1, 2}, {}, true);
    machine.pass(a_while);
}

// The same with two that sleep.
void two_sleep_and_all_are_busy(Machine& machine)
{
    for (unsigned i = 0; i < pcpu_count; ++i)
        add(machine, i + 2, i, {i});
    add(machine, 0, 0, {0, 1, 2}, {}, true);
    add(machine, 1, 0, {0, 1, 2}, {}, true);
    machine.pass(a_while);
}

// Every pCPU runs one that may run there only; two wait on pCPU 0.
void two_wait(Machine& machine)
{
    for (unsigned i = 0; i < pcpu_count; ++i)
        add(machine, i + 2, i, {i});
    add(machine, 0, 0);
    add(machine, 1, 0);
    machine.pass(a_while);
}

// Two that may run anywhere share pCPU 0; the others run what may run there only.
void two_share(Machine& machine)
{
    add(machine, 2, 1, {1});
    add(machine, 3, 2, {2});
    add(machine, 0, 0);
    add(machine, 1, 0);
    machine.pass(a_while);
}

// One sleeps on pCPU 1, where another one runs.
void one_sleeps_where_another_runs(Machine& machine)
{
    add(machine, 1, 1);
    add(machine, 0, 1, {0, 1, 2}, {}, true);
    machine.pass(a_while);
}

void one_sleeps_on_the_second(Machine& machine)
{
    add(machine, 0, 1, {0, 1, 2}, {}, true);
    machine.pass(a_while);
}

// A domain with one that runs on pCPU 0 and one that sleeps on pCPU 1.
void a_domain_of_two(Machine& machine)
{
    Domain& domain{machine.domain(1)};
    machine.domains[0] = &domain;
    machine.vcpus[0] = &machine.vcpu(domain, 1);
    machine.start(*machine.vcpus[0], true);
    machine.vcpus[1] = &machine.vcpu(domain, 0);
    machine.start(*machine.vcpus[1]);
    machine.pass(a_while);
}

// Two sleep on pCPU 2 and are at home on the other node, all of which idles.
void two_sleep_away_from_home(Machine& machine)
{
    for (unsigned i = 0; i < 2; ++i) {
        add(machine, i, 2, {2}, {0, 1});
        machine.pass(a_while);
        static_cast<void>(machine.core().block(cpu(2), *machine.vcpus[i], machine.now()));
        machine.serve_all();
        HV_ASSERT(machine.core().set_hard_affinity(cpu(2), *machine.vcpus[i], cpus({0, 1, 2}), machine.now()).ok());
        machine.serve_all();
    }
}

// One runs on pCPU 2 and is at home on the other node, whose pCPUs run what may run there only.
void one_runs_away_from_home(Machine& machine)
{
    add(machine, 1, 0, {0});
    add(machine, 2, 1, {1});
    add(machine, 0, 2, {0, 1, 2}, {0, 1});
    machine.pass(a_while);
}

void one_has_left(Machine& machine)
{
    add(machine, 1, 0);
    add(machine, 0, 0, {0, 1, 2}, {}, true);
    HV_ASSERT(machine.system().offline(cpu(0), cpu(1), Absence::for_good, machine.now()).ok());
    machine.serve_all();
    machine.pass(a_while);
    HV_ASSERT(machine.system().is_off(cpu(1)));
}

// One runs on pCPU 1 that has used up its budget just now: 2 ms of the second period.
void one_has_no_budget_left(Machine& machine)
{
    add(machine, 0, 1, {1}, {}, false, {.weight = 256, .cap = 20});
    machine.pass(Duration::from_us(11'900));
    machine.skip(Duration::from_us(200));
}

// One is paused, because it has used up its budget.
void one_waits_for_budget(Machine& machine)
{
    add(machine, 0, 0, {0}, {}, false, {.weight = 256, .cap = 20});
    machine.pass(Duration::from_us(12'500));
}

void one_runs_on_the_second(Machine& machine)
{
    add(machine, 0, 1, {1});
    machine.pass(a_while);
}

// --- what has to come of it

void runnable(Machine& machine)
{
    if (!machine.vcpus[0]->is_runnable())
        run().fail("an event for it was lost");
}

void goes_on_without_a_cap(Machine& machine)
{
    machine.pass(Duration::from_ms(70));
    runnable(machine);
}

void is_accounted(Machine& machine)
{
    runnable(machine);
    if (!machine.is_armed(sched::timer::accounting))
        run().fail("somebody runs and nobody keeps accounts");
}

constexpr std::array all{
    Scenario{"block-notify",
             "one blocks while two others have an event for it",
             one_runs,
             {block, notify<0>, notify<0>},
             nullptr,
             runnable},
    Scenario{"block-twice",
             "one blocks twice, and gets two events",
             one_runs,
             {block_twice, notify<0>, notify<0>},
             nullptr,
             nullptr},
    Scenario{"wake-steal",
             "one wakes beside a hog while an idle pCPU looks for work",
             one_sleeps_beside_a_hog,
             {reschedule, reschedule, notify<0>},
             nullptr,
             runnable},
    Scenario{"wake-idle",
             "one wakes on a busy pCPU while another one becomes idle",
             one_sleeps_and_all_are_busy,
             {nothing, block, notify<0>},
             nullptr,
             runnable},
    Scenario{"wakes-idle",
             "two wake on a busy pCPU while others become idle",
             two_sleep_and_all_are_busy,
             {block, block, notify_both},
             nullptr,
             runnable},
    Scenario{"steal-steal",
             "two pCPUs become idle while two wait on the third",
             two_wait,
             {reschedule, block, block},
             nullptr,
             nullptr},
    Scenario{"yield-steal",
             "one yields while a pCPU that becomes idle looks for work",
             two_share,
             {yield, block, reschedule},
             nullptr,
             nullptr},
    Scenario{"migrate-block",
             "one is pinned elsewhere while it blocks and wakes",
             one_runs,
             {block, notify<0>, pin<0, 1>},
             nullptr,
             runnable},
    Scenario{"migrate-run",
             "one that runs is pinned to two places at once",
             one_runs,
             {reschedule, pin<0, 1>, pin<0, 2>},
             nullptr,
             nullptr},
    Scenario{"migrate-steal",
             "one that waits is pinned while an idle pCPU comes for it",
             two_wait,
             {reschedule, block, pin<0, 1>},
             nullptr,
             nullptr},
    Scenario{"migrate-wake",
             "one that sleeps is pinned elsewhere while it wakes",
             one_sleeps_and_all_are_busy,
             {block, notify<0>, pin<0, 1>},
             nullptr,
             runnable},
    Scenario{"leave-wake",
             "a pCPU leaves while one that sleeps there wakes",
             one_sleeps_on_the_second,
             {leave<1>, nothing, notify<0>},
             nullptr,
             runnable},
    Scenario{"leave-run",
             "a pCPU leaves while one runs there, and another one wakes",
             one_sleeps_where_another_runs,
             {leave<1>, reschedule, notify<0>},
             nullptr,
             runnable},
    Scenario{"leave-pin",
             "a pCPU leaves while one is pinned to it",
             one_sleeps_where_another_runs,
             {leave<1>, reschedule, pin<0, 1>},
             nullptr,
             nullptr},
    Scenario{"return-wake",
             "a pCPU comes back while one wakes",
             one_has_left,
             {come_back<1>, nothing, notify<0>},
             nullptr,
             runnable},
    Scenario{"destroy-wake",
             "a domain ends while one of its vCPUs wakes",
             a_domain_of_two,
             {reschedule, destroy<0>, find_and_notify<0>},
             nullptr,
             nullptr},
    Scenario{"destroy-destroy",
             "a domain is ended twice, while one of its vCPUs blocks",
             a_domain_of_two,
             {block, destroy<0>, destroy<0>},
             nullptr,
             nullptr},
    Scenario{"pause-block",
             "one is paused and goes on while it blocks and wakes",
             one_runs,
             {block, pause_and_go_on<0>, notify<0>},
             nullptr,
             runnable},
    Scenario{"stop-move",
             "one is stopped, waited for, and goes on, while it is pinned elsewhere",
             one_runs,
             {reschedule, stop_and_go_on<0>, pin<0, 2>},
             nullptr,
             runnable},
    Scenario{"double-wake",
             "two wake at once, away from home, while a pCPU there looks for work",
             two_sleep_away_from_home,
             {reschedule, notify<0>, notify<1>},
             nullptr,
             runnable},
    Scenario{"pull",
             "a pCPU becomes idle at the home of one that runs elsewhere and blocks",
             one_runs_away_from_home,
             {block, notify<0>, block},
             nullptr,
             runnable},
    Scenario{"pull-twice",
             "two pCPUs become idle at the home of one that runs elsewhere",
             one_runs_away_from_home,
             {block, block, reschedule},
             nullptr,
             nullptr},
    Scenario{"uncap",
             "a cap is lifted while who has used it up stops",
             one_has_no_budget_left,
             {uncap_and_account, reschedule, notify<0>},
             "numacredit",
             goes_on_without_a_cap},
    Scenario{"cap-account",
             "a cap is lifted while budgets are handed out",
             one_waits_for_budget,
             {account, uncap, notify<0>},
             nullptr,
             goes_on_without_a_cap},
    Scenario{"last-accounts",
             "the last one falls asleep and wakes while accounts are kept",
             one_runs_on_the_second,
             {account, block, notify<0>},
             nullptr,
             is_accounted},
    Scenario{"tick-wake",
             "a tick looks for a better place while one wakes beside it",
             one_sleeps_beside_a_hog,
             {tick, reschedule, notify<0>},
             "credit",
             runnable},
};

} // namespace

std::span<Scenario const> scenarios() { return all; }

} // namespace hv::explorer
