// Sabotage: a bug that the kernel itself finds, while another self-test would still have to run.
#include "arch/generic/assert.hpp"
#include "boot/selftest.hpp"

namespace hv::test {
namespace {

void innermost()
{
    bool volatile sabotage_panic_was_asked_for{true};
    HV_ASSERT(!sabotage_panic_was_asked_for);
}
void middle() { innermost(); }

} // namespace

HV_SELFTEST(sabotage_panic) { middle(); }

} // namespace hv::test
