// Mutual exclusion between real pCPUs.
#include "arch/generic/ticket_lock.hpp"
#include "arch/x86_64/call.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

namespace hv::test {
namespace {

// Together some 64 turns: with more pCPUs than the host has processors, each may cost time slices of the host.
unsigned turns_of_each() { return pcpus_up() < 64 ? 64 / pcpus_up() : 1; }

struct Shared {
    TicketLock lock{LockKey{1, 0}};
    unsigned volatile counter{0}; // Not atomic: only the lock stands between it and lost updates.
    std::atomic<unsigned> arrived{0};
    std::atomic<unsigned> inside{0};
    std::atomic<unsigned> crowds{0};
};

void take_turns(void* argument)
{
    Shared& shared{*static_cast<Shared*>(argument)};
    unsigned const count{turns_of_each()};
    // Together, or the first is done before the last begins and nothing is tested.
    shared.arrived.fetch_add(1);
    while (shared.arrived.load() < pcpus_up())
        arch::relax();
    for (unsigned i = 0; i < count; ++i) {
        Guard const guard{shared.lock, irqs_off};
        if (shared.inside.fetch_add(1) != 0)
            shared.crowds.fetch_add(1);
        unsigned const before{shared.counter};
        // Under the instruction counter, the only place where others get their turn.
        for (unsigned pause = 0; pause < 400; ++pause)
            arch::relax();
        shared.counter = before + 1;
        shared.inside.fetch_sub(1);
    }
}

} // namespace

HV_SELFTEST(lock_excludes_all_other_pcpus)
{
    Shared shared;
    arch::call_on_all(take_turns, &shared);
    HV_CHECK(shared.crowds.load() == 0);
    HV_CHECK(shared.counter == turns_of_each() * pcpus_up());
    HV_CHECK(!shared.lock.is_locked());
}

} // namespace hv::test
