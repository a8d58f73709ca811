// The chopper (option chop=): that the turns of pCPUs really end where they would not end by themselves.
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/features.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

namespace hv::test {
namespace {

constexpr unsigned rounds = 20'000;

// Without a lock, on purpose. Rounds differ in length: turns are a multiple of the HPET's ticks, and in a loop of as
// many instructions as divide that they would always end in the same place.
void count_up(void* argument)
{
    auto* const counter = static_cast<unsigned volatile*>(argument);
    for (unsigned i = 0; i < rounds; ++i) {
        *counter = *counter + 1;
        for (unsigned rest = i % 3; rest > 0; --rest)
            asm volatile("nop");
    }
}

} // namespace

HV_SELFTEST(chopper_shows_a_race_that_the_instruction_counter_hides)
{
    if (pcpus_up() == 1)
        HV_SKIP("takes two pCPUs");
    if (boot::kernel().options.khz != 1'000'000 || !arch::is_qemu_tcg())
        HV_SKIP("only where QEMU counts instructions do pCPUs take turns");
    if (boot::kernel().options.chop_ns == 0 || boot::kernel().options.chop_ns > 100'000)
        HV_SKIP("no chopper, or its turns are longer than the race");
    unsigned volatile counter{0};
    arch::call_on_all(count_up, const_cast<unsigned*>(&counter));
    HV_CHECK(counter < pcpus_up() * rounds);
}

} // namespace hv::test
