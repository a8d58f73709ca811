#include "arch/x86_64/panic.hpp"

#include "arch/generic/assert.hpp"
#include "arch/x86_64/apic.hpp"
#include "arch/x86_64/backtrace.hpp"
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/exit.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/percpu.hpp"

#include <atomic>

namespace hv::arch {
namespace {

// 0: nobody; else 1 + the number of the pCPU that reports.
constinit std::atomic<unsigned> reporter{0};
// How often the reporter came here: 1 is the panic, 2 a fault during its report. Touched by the reporter only.
constinit unsigned depth{0};
constinit std::atomic<unsigned> stopped{0};
// Set before the pCPUs that may need it have anything to save, and never again.
constinit PanicHook hook{nullptr};
constinit void* hook_self{nullptr};

// Stops the others, so that none of them prints into the report. Waits for a while only: one may be beyond reach.
void stop_others()
{
    constexpr unsigned patience = 1'000'000;
    unsigned others{0};
    for (unsigned i = 0; i < pcpu_count(); ++i) {
        Percpu const& block{percpu(CpuId{static_cast<CpuId::Rep>(i)})};
        others += &block != &this_percpu() && block.is_up.load(std::memory_order_relaxed) ? 1u : 0u;
    }
    apic_stop_others();
    for (unsigned i = 0; i < patience && stopped.load(std::memory_order_relaxed) < others; ++i)
        relax();
}

// Writes straight to the UART, through a Line that is never closed: panic_end() exits.
class PanicSink final : public Sink {
public:
    void write(std::string_view text) override
    {
        Line line{Output::raw_console};
        line.sink().write(text);
    }
};
constinit PanicSink panic_sink;

void print_registers(Sink& sink, TrapFrame const& f)
{
    print(sink, "  rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}\n", f.rax, f.rbx, f.rcx, f.rdx);
    print(sink, "  rsi {:016x} rdi {:016x} rbp {:016x} rsp {:016x}\n", f.rsi, f.rdi, f.rbp, f.rsp);
    print(sink, "  r8  {:016x} r9  {:016x} r10 {:016x} r11 {:016x}\n", f.r8, f.r9, f.r10, f.r11);
    print(sink, "  r12 {:016x} r13 {:016x} r14 {:016x} r15 {:016x}\n", f.r12, f.r13, f.r14, f.r15);
    print(sink, "  rip {:016x} rflags {:x} cs {:x} ss {:x} cr0 {:x} cr2 {:016x} cr3 {:x} cr4 {:x}\n", f.rip, f.rflags,
          f.cs, f.ss, read_cr0(), read_cr2(), read_cr3(), read_cr4());
}

} // namespace

void set_panic_hook(PanicHook run, void* self) noexcept
{
    hook_self = self;
    hook = run;
}

void panic_stop_if_under_way() noexcept
{
    if (reporter.load(std::memory_order_relaxed) == 0)
        return;
    stopped.fetch_add(1, std::memory_order_relaxed);
    halt_forever();
}

Sink& panic_begin() noexcept
{
    irqs_disable();
    unsigned const self = this_percpu().id.value() + 1u;
    unsigned nobody{0};
    // relaxed: the number is all that is shared.
    if (!reporter.compare_exchange_strong(nobody, self, std::memory_order_relaxed) && nobody != self)
        panic_stop_if_under_way();
    if (++depth > 2)
        exit_machine(ExitCode::panic);
    if (depth == 1) {
        stop_others();
        console_enter_panic();
    }
    print(panic_sink, depth == 1 ? "\npanic on pCPU {}: " : "\npanic during the panic on pCPU {}: ", self - 1);
    return panic_sink;
}

void panic_end(TrapFrame const* frame) noexcept
{
    print(panic_sink, "\n");
    if (depth == 1) {
        if (frame != nullptr)
            print_registers(panic_sink, *frame);
        auto const here = reinterpret_cast<std::uint64_t>(__builtin_return_address(0));
        auto const caller = reinterpret_cast<std::uint64_t const*>(__builtin_frame_address(0))[0];
        print_backtrace(panic_sink, frame != nullptr ? frame->rip : here, frame != nullptr ? frame->rbp : caller);
        if (hook != nullptr)
            hook(hook_self);
    }
    exit_machine(ExitCode::panic);
}

} // namespace hv::arch

void hv::assert_fail(char const* condition, char const* file, unsigned line) noexcept
{
    print(arch::panic_begin(), "assertion failed: {} at {}:{}", condition, file, line);
    arch::panic_end(nullptr);
}
