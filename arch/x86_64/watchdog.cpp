#include "arch/x86_64/watchdog.hpp"

#include "arch/x86_64/apic.hpp"
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/panic.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/timers.hpp"

namespace hv::arch {
namespace {

constexpr int beats_per_limit = 4;
constexpr std::uint32_t enough_strikes = 2;
constexpr std::uint64_t interrupt_flag = 1u << 9;

constinit Duration limit{}; // set before the first beat

// Past those that have not been plugged in.
Percpu& next_in_ring(Percpu const& self)
{
    auto next = self.id.value();
    do
        next = static_cast<CpuId::Rep>((next + 1u) % pcpu_count());
    // relaxed: who has just come is watched from the next beat on.
    while (!percpu(CpuId{next}).is_up.load(std::memory_order_relaxed));
    return percpu(CpuId{next});
}

void start_here(void*)
{
    Percpu& self{this_percpu()};
    self.watched.neighbours_sign = clock_now();
    watchdog_beat(clock_now());
    timers_restart();
}

} // namespace

void watchdog_start(Duration the_limit) noexcept
{
    limit = the_limit;
    if (pcpu_count() > 1)
        call_on_all(start_here, nullptr);
}

void watchdog_join() noexcept
{
    if (limit != Duration{})
        start_here(nullptr);
}

void watchdog_beat(Instant now) noexcept
{
    Percpu& self{this_percpu()};
    Watched& own{self.watched};
    // relaxed, all of them: a sign of life orders nothing.
    own.beats.store(own.beats.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (own.beats.load(std::memory_order_relaxed) == 0) // 0 means: not started.
        own.beats.store(1, std::memory_order_relaxed);
    own.due = now + limit / beats_per_limit;
    Percpu& neighbour{next_in_ring(self)};
    std::uint32_t const beats{neighbour.watched.beats.load(std::memory_order_relaxed)};
    if (beats != own.neighbours_beats || beats == 0) {
        own.neighbours_beats = beats;
        own.neighbours_sign = now;
    } else if (now - own.neighbours_sign >= limit) {
        watchdog_suspect(neighbour.id);
    }
}

void watchdog_suspect(CpuId cpu) noexcept
{
    percpu(cpu).watched.is_suspected.store(true, std::memory_order_relaxed);
    apic_send_nmi(percpu(cpu).apic_id);
}

bool watchdog_nmi(TrapFrame const& frame) noexcept
{
    Percpu& self{this_percpu()};
    Watched& own{self.watched};
    if (!own.is_suspected.exchange(false, std::memory_order_relaxed))
        return false;
    std::uint32_t const beats{own.beats.load(std::memory_order_relaxed)};
    bool const is_off = (frame.rflags & interrupt_flag) == 0;
    own.strikes = !is_off ? 0 : beats == own.strike_beats ? own.strikes + 1 : 1;
    own.strike_beats = beats;
    if (own.strikes < enough_strikes)
        return true;
    print(panic_begin(), "pCPU {} is stuck: its interrupts have been off for {} ms or more", self.id,
          limit.ns() / 1'000'000);
    panic_end(&frame);
}

} // namespace hv::arch
