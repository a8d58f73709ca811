// The pCPUs themselves: that they run, where they are, that they can be reached.
#include "arch/x86_64/apic.hpp"
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/percpu.hpp"
#include "boot/kernel.hpp"
#include "boot/selftest.hpp"

#include <array>
#include <atomic>

namespace hv::test {
namespace {

struct Roll {
    std::array<std::atomic<unsigned>, arch::max_pcpus> calls{};
    std::atomic<unsigned> wrong{0};
};

void answer(void* argument)
{
    Roll& roll{*static_cast<Roll*>(argument)};
    arch::Percpu const& self{arch::this_percpu()};
    roll.calls[self.id.value()].fetch_add(1);
    if (&arch::percpu(self.id) != &self || arch::apic_own_id() != self.apic_id)
        roll.wrong.fetch_add(1);
}

} // namespace

HV_SELFTEST(every_pcpu_answers_as_itself)
{
    static constinit Roll roll;
    arch::call_on_all(answer, &roll);
    HV_CHECK(roll.wrong.load() == 0);
    for (unsigned i = 0; i < arch::pcpu_count(); ++i)
        HV_CHECK(roll.calls[i].load() == 1);
}

} // namespace hv::test
