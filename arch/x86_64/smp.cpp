#include "arch/x86_64/smp.hpp"

#include "arch/x86_64/apic.hpp"
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/features.hpp"
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/kernel_space.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/machine_check.hpp"
#include "arch/x86_64/panic.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/upcalls.hpp"

#include <array>
#include <cstring>

extern "C" {
// NOLINTBEGIN(readability-identifier-naming)
extern char trampoline_start[], trampoline_end[], trampoline_root[], trampoline_code_at[], trampoline_table_at[];
std::uint64_t other_pcpu_stacks[256];
// NOLINTEND(readability-identifier-naming)
[[noreturn]] void other_pcpu_main(std::uint32_t apic_id) noexcept;
}

namespace hv::arch {
namespace {

constinit std::array<Percpu*, 256> block_by_apic_id{};
constinit CpuId starter;
constinit unsigned started_at_boot{0};
constinit std::uint8_t startup_page{0}; // where a pCPU begins

// Adds the address at which the copy lies to one of the trampoline's address fields.
void relocate(PhysAddr copy, char const* field)
{
    auto* const at =
        direct_map<std::uint32_t>(PhysAddr{copy.value() + static_cast<std::uint64_t>(field - trampoline_start)});
    *at += static_cast<std::uint32_t>(copy.value());
}

// The top level of page tables in which the trampoline's page is mapped where it is, and the kernel where it always is.
// It takes three pages that are wanted below 4 GiB: those behind the trampoline's own.
void build_trampoline_tables(PhysAddr copy)
{
    auto* const top = direct_map<std::uint64_t>(PhysAddr{copy.value() + page_size});
    std::memcpy(top, direct_map<void>(kernel_space().root()), page_size);
    std::uint64_t const third{copy.value() + 2 * page_size};
    top[0] = paging::table(PhysAddr{third}, false);
    std::memset(direct_map<void>(PhysAddr{third}), 0, 2 * page_size);
    *direct_map<std::uint64_t>(PhysAddr{third}) = paging::table(PhysAddr{third + page_size}, false);
    *direct_map<std::uint64_t>(PhysAddr{third + page_size}) = paging::leaf(PhysAddr{0}, read_execute, 1);
    auto const root = static_cast<std::uint32_t>(copy.value() + page_size);
    std::memcpy(
        direct_map<char>(PhysAddr{copy.value() + static_cast<std::uint64_t>(trampoline_root - trampoline_start)}),
        &root, sizeof root);
}

void place_trampoline(PhysAddr copy)
{
    std::memcpy(direct_map<void>(copy), trampoline_start, static_cast<std::size_t>(trampoline_end - trampoline_start));
    relocate(copy, trampoline_table_at);
    relocate(copy, trampoline_code_at);
    build_trampoline_tables(copy);
}

void wait(Duration duration)
{
    for (Instant const end{clock_now() + duration}; clock_now() < end;)
        relax();
}

template <typename Function>
void for_each_other(Function function)
{
    for (unsigned i = 0; i < started_at_boot; ++i)
        if (Percpu & other{percpu(CpuId{static_cast<CpuId::Rep>(i)})}; other.id != starter)
            function(other);
}

void send_start_interrupts()
{
    for_each_other([](Percpu& other) { apic_send_init(other.apic_id); });
    // Real processors want pauses, and some a second start-up interrupt; emulated ones are ready at once.
    if (!is_virtual_machine())
        wait(Duration::from_ms(10));
    for_each_other([](Percpu& other) { apic_send_startup(other.apic_id, startup_page); });
    if (is_virtual_machine())
        return;
    wait(Duration::from_us(200));
    for_each_other([](Percpu& other) { apic_send_startup(other.apic_id, startup_page); });
}

Percpu const* first_missing()
{
    Percpu const* missing{nullptr};
    for_each_other([&](Percpu const& other) {
        // acquire: what the pCPU did before it said so is seen.
        if (missing == nullptr && !other.is_up.load(std::memory_order_acquire))
            missing = &other;
    });
    return missing;
}

// Halts until all are up. Each arrival interrupts, and so does the timer: 50 of its periods without an arrival are too
// many.
Percpu const* wait_for_all()
{
    constexpr unsigned patience = 50;
    constexpr Duration period{Duration::from_ms(100)};
    Percpu const* missing{first_missing()};
    for (unsigned idle_periods = 0; missing != nullptr && idle_periods < patience;) {
        Instant const start{clock_now()};
        irqs_disable();
        apic_timer_start(period);
        if (first_missing() == nullptr)
            irqs_enable();
        else
            enable_and_halt();
        Percpu const* const still_missing{first_missing()};
        idle_periods = still_missing == missing && clock_now() - start >= period ? idle_periods + 1 : 0;
        missing = still_missing;
    }
    apic_timer_stop();
    return missing;
}

} // namespace

std::optional<std::uint32_t> start_other_pcpus(PhysAddr trampoline, unsigned present) noexcept
{
    starter = this_cpu();
    started_at_boot = present;
    startup_page = static_cast<std::uint8_t>(trampoline.value() / page_size);
    for (unsigned i = 0; i < pcpu_count(); ++i) {
        Percpu& block{percpu(CpuId{static_cast<CpuId::Rep>(i)})};
        block_by_apic_id[block.apic_id] = &block;
        other_pcpu_stacks[block.apic_id] = block.stack_top;
    }
    place_trampoline(trampoline);
    if (present == 1)
        return std::nullopt;
    send_start_interrupts();
    if (Percpu const* const missing{wait_for_all()}; missing != nullptr)
        return missing->apic_id;
    return std::nullopt;
}

void reset_pcpu(CpuId cpu) noexcept { apic_send_init(percpu(cpu).apic_id); }
void start_pcpu(CpuId cpu) noexcept { apic_send_startup(percpu(cpu).apic_id, startup_page); }

} // namespace hv::arch

void other_pcpu_main(std::uint32_t apic_id) noexcept
{
    using namespace hv::arch;
    Percpu& self{*block_by_apic_id[apic_id]};
    percpu_adopt(self);
    features_enable();
    machine_check_enable();
    kernel_space_load();
    apic_enable();
    self.is_up.store(true, std::memory_order_release);
    ask_to_reschedule(starter);
    if (UpCalls const* const calls{installed_up_calls()}; calls != nullptr && calls->arrived != nullptr)
        calls->arrived(calls->self, self.id, clock_now());
    idle_forever();
}
