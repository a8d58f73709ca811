// Sabotage: panics in the places where reporting one is hardest. Each ends with the status of a panic, and never hangs.
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/panic.hpp"
#include "arch/x86_64/percpu.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

namespace hv::test {
namespace {

int overflow(int depth)
{
    int volatile room[64];
    room[0] = depth;
    return depth < 0 ? 0 : overflow(depth + 1) + room[0];
}

// An address that the compiler cannot know.
constinit std::uint64_t volatile nowhere{0x10};
void write_nowhere() { *reinterpret_cast<char volatile*>(nowhere) = 1; }

void panic_here(void*) { arch::panic("sabotage: pCPU {} gives up", arch::this_cpu()); }

class FaultingSink final : public Sink {
public:
    void write(std::string_view) override { write_nowhere(); }
};

} // namespace

HV_SELFTEST(sabotage_page_fault) { write_nowhere(); }

HV_SELFTEST(sabotage_stack_overflow) { static_cast<void>(overflow(0)); }

// Another pCPU panics while this one holds the console's lock, in the middle of a line.
HV_SELFTEST(sabotage_panic_elsewhere)
{
    arch::Line line{arch::Output::console};
    line.sink().write("the beginning of a line");
    arch::call_on(other_cpu(), panic_here, nullptr);
}

HV_SELFTEST(sabotage_panic_everywhere) { arch::call_on_all(panic_here, nullptr); }

HV_SELFTEST(sabotage_fault_during_panic)
{
    FaultingSink sink;
    static_cast<void>(arch::panic_begin());
    sink.write("");
}

} // namespace hv::test
