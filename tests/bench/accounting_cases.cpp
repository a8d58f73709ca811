// The `account` hook, and the sort of a run queue. The latter is the `tick` hook of a pCPU on behalf of its idle vCPU,
// which does nothing besides.
#include "tests/bench/cases.hpp"

#include <algorithm>
#include <utility>

namespace hv::bench {

using sched::Prio;
using sched::Vcpu;

namespace {

constexpr int pcpu_count = 16;
constexpr int credits_per_slice = 300;

// Every second one is deep in debt, the rest have nothing: after the accounting half are OVER, half UNDER, and nobody
// has so much that it becomes inactive.
void set_credits(std::vector<Vcpu*> const& vcpus)
{
    int const share{pcpu_count * credits_per_slice / static_cast<int>(vcpus.size())};
    int const earned{std::min(share, credits_per_slice)};
    for (std::size_t i = 0; i < vcpus.size(); ++i)
        credit_of(*vcpus[i]).credit.store(i % 2 == 0 ? 0 : -earned - 100);
}

void account(unsigned vcpu_count, bool one_domain)
{
    Bench bench{16};
    std::vector<Vcpu*> vcpus;
    sched::Domain* domain{nullptr};
    for (unsigned i = 0; i < vcpu_count; ++i) {
        if (domain == nullptr || (!one_domain && i % 2 == 0))
            domain = &bench.domain();
        vcpus.push_back(&bench.vcpu(*domain, i % 16));
        static_cast<void>(bench.tick(0, *vcpus.back())); // makes it active
    }
    measure(
        Hooks::account,
        "accounting: " + std::to_string(vcpu_count) + (one_domain ? " vCPUs in one domain" : " vCPUs in domains of 2"),
        [&] { set_credits(vcpus); }, [&] { bench.timer(sched::timer::accounting); },
        [&] {
            for (std::size_t i = 0; i < vcpus.size(); ++i)
                if (!credit_of(*vcpus[i]).is_active() ||
                    credit_of(*vcpus[i]).prio() != (i % 2 == 0 ? Prio::under : Prio::over))
                    return false;
            return true;
        });
}

void sort(unsigned queued)
{
    Bench bench{16};
    bench.occupy(Others::busy);
    bench.run(0);
    for (unsigned i = 0; i < queued; ++i)
        bench.queue(0);
    auto& mine = bench.credit_of_pcpu(0);
    measure(
        Hooks::tick, "sort: " + std::to_string(queued) + " queued alternating UNDER/OVER",
        [&] {
            bool over{false};
            for (auto& vcpu : mine.queue)
                if (!vcpu.is_idle)
                    vcpu.set_prio(std::exchange(over, !over) ? Prio::over : Prio::under);
            --mine.sorted_epoch;
        },
        [&] { static_cast<void>(bench.tick(0, *bench.pcpu(0).idle)); },
        [&] {
            Prio last{Prio::boost};
            for (auto& vcpu : mine.queue)
                if (std::exchange(last, vcpu.prio()) < vcpu.prio())
                    return false;
            return true;
        });
}

} // namespace

void accounting_cases()
{
    for (bool const one_domain : {false, true})
        for (unsigned const vcpus : {10u, 100u, 1000u})
            account(vcpus, one_domain);
    for (unsigned const queued : {2u, 8u, 32u})
        sort(queued);
}

} // namespace hv::bench
