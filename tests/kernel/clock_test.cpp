// The clock, on one pCPU and across all of them.
#include "arch/x86_64/call.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

#include <arch/env.hpp>

namespace hv::test {
namespace {

constexpr unsigned reads = 30;

// The latest time that any pCPU has read. Whoever reads afterwards must not read an earlier one.
struct Relay {
    std::atomic<std::int64_t> latest{0};
    std::atomic<unsigned> backward{0};
    std::atomic<unsigned> repeated_stamps{0};
};

void read_clocks(void* argument)
{
    Relay& relay{*static_cast<Relay*>(argument)};
    std::uint64_t stamp{0};
    for (unsigned i = 0; i < reads; ++i) {
        std::int64_t const before{relay.latest.load()};
        std::int64_t const now{arch::clock_now().ns()};
        if (now < before)
            relay.backward.fetch_add(1);
        for (std::int64_t seen = before; seen < now && !relay.latest.compare_exchange_weak(seen, now);) {}
        std::uint64_t const next_stamp{arch::Env{}.trace_clock(arch::this_cpu())};
        if (next_stamp <= stamp)
            relay.repeated_stamps.fetch_add(1);
        stamp = next_stamp;
        if (i % 4 == 0)
            arch::relax();
    }
}

} // namespace

HV_SELFTEST(clock_never_goes_back_across_pcpus)
{
    Relay relay;
    arch::call_on_all(read_clocks, &relay);
    HV_CHECK(relay.latest.load() > 0);
    HV_CHECK(relay.backward.load() == 0);
    HV_CHECK(relay.repeated_stamps.load() == 0);
}

HV_SELFTEST(clock_agrees_with_the_apic_timer)
{
    // One shot of 5 ms takes 5 ms by the clock: not less, and not many times more.
    Instant const start{arch::clock_now()};
    HV_CHECK(!wait_until([&] { return arch::clock_now() >= start + Duration::from_ms(1000); }, Duration::from_ms(5)));
    Duration const took{arch::clock_now() - start};
    HV_CHECK(took >= Duration::from_ms(5));
    HV_CHECK(took < Duration::from_ms(1000));
}

} // namespace hv::test
