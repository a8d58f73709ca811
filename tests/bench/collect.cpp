#include "tests/bench/collect.hpp"

#if !__has_include(<valgrind/callgrind.h>)
#error "bench-micro needs valgrind; install it with: apt-get install valgrind"
#endif
#include <valgrind/callgrind.h>

#include <cstdio>
#include <cstdlib>

namespace hv::bench {

using sched::Decision;
using sched::Parking;
using sched::PolicyOps;
using sched::Pool;
using sched::Vcpu;
using sched::WakeDecision;

namespace {

PolicyOps inner{}; // the policy's own
void* created{nullptr};
Hooks counted{Hooks::none};

// Collection is on while one lives, if its hook is among those counted. Inlined, so that little but the hook is
// counted.
class Collecting {
public:
    [[gnu::always_inline]] explicit Collecting(bool wanted) : on_{wanted}
    {
        if (on_)
            CALLGRIND_TOGGLE_COLLECT;
    }
    [[gnu::always_inline]] ~Collecting()
    {
        if (on_)
            CALLGRIND_TOGGLE_COLLECT;
    }
    Collecting(Collecting const&) = delete;
    Collecting& operator=(Collecting const&) = delete;

private:
    bool const on_;
};

Decision schedule(void* self, CpuId cpu, Vcpu& current, Instant now, bool force_idle) noexcept
{
    Collecting const on{counted == Hooks::schedule};
    return inner.schedule(self, cpu, current, now, force_idle);
}

WakeDecision wake(void* self, CpuId cpu, Vcpu& vcpu, Instant now) noexcept
{
    Collecting const on{counted == Hooks::wake || counted == Hooks::wake_and_enqueue};
    return inner.wake(self, cpu, vcpu, now);
}

void enqueue(void* self, CpuId cpu, Vcpu& vcpu, Instant now) noexcept
{
    Collecting const on{counted == Hooks::wake_and_enqueue};
    inner.enqueue(self, cpu, vcpu, now);
}

void sleep(void* self, CpuId cpu, Vcpu& vcpu, Instant now) noexcept
{
    Collecting const on{counted == Hooks::sleep};
    inner.sleep(self, cpu, vcpu, now);
}

CpuId pick_cpu(void* self, CpuId cpu, Vcpu& vcpu, Instant now) noexcept
{
    Collecting const on{counted == Hooks::pick};
    return inner.pick_cpu(self, cpu, vcpu, now);
}

bool tick(void* self, CpuId cpu, Vcpu& current, Instant now) noexcept
{
    Collecting const on{counted == Hooks::tick};
    return inner.tick(self, cpu, current, now);
}

void account(void* self, CpuId cpu, Instant now, Parking& parking) noexcept
{
    Collecting const on{counted == Hooks::account};
    inner.account(self, cpu, now, parking);
}

} // namespace

void set_counted_policy(PolicyOps const& ops) { inner = ops; }

PolicyOps const& counted_ops()
{
    static PolicyOps ops;
    ops = inner;
    ops.create = [](void* memory, Pool& pool) noexcept { return created = inner.create(memory, pool); };
    ops.schedule = schedule;
    ops.wake = wake;
    ops.enqueue = enqueue;
    ops.sleep = sleep;
    ops.pick_cpu = pick_cpu;
    ops.tick = tick;
    ops.account = account;
    return ops;
}

void* counted_policy() { return created; }

void start_counting(Hooks hooks) { counted = hooks; }
void stop_counting() { counted = Hooks::none; }
void begin_case() { CALLGRIND_ZERO_STATS; }

void end_case(Hooks hooks, std::string const& name)
{
    std::string const title{(hooks == Hooks::wake_and_enqueue ? "2;" : "1;") + name};
    CALLGRIND_DUMP_STATS_AT(title.c_str());
}

void require(bool holds, std::string const& name, char const* what)
{
    if (holds)
        return;
    std::fprintf(stderr, "bench-micro: %s: %s\n", name.c_str(), what);
    std::exit(4);
}

void measure_empty_call()
{
    inner.sleep = [](void*, CpuId, Vcpu&, Instant) noexcept {};
    sched::Domain domain{DomainId{1}};
    Vcpu vcpu{domain, VcpuIndex{0}, CpuId{0}};
    measure(Hooks::sleep, "empty call", [] {}, [&] { sleep(nullptr, CpuId{0}, vcpu, Instant{}); }, [] { return true; });
}

} // namespace hv::bench
