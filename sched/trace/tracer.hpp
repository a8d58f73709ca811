// The trace writer of a machine: one ring a pCPU, and what is to be recorded there.
//
// A record goes to the ring of the pCPU that executes, stamped under whatever lock serialises the thing recorded, so
// that stamps follow cause and effect. An event that the mask leaves out costs a load and a test. A listener, if there
// is one, gets every event that passes the masks, ring or no ring.
//
// The masks may be changed by any pCPU at any time; another pCPU may still record by the old one what it does at that
// moment. Who turns the run states (0x21000) off and on again leaves a gap that no LOST record tells.
//
// Locking: none (ring.hpp). Floor: sched.
#pragma once

#include "arch/generic/mask.hpp"
#include "arch/generic/time.hpp"
#include "arch/generic/types.hpp"
#include "sched/env.hpp"
#include "sched/trace/ring.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

namespace hv::sched::trace {

// Hears every event as it happens; `now` is the machine's time, not the record's stamp.
struct Listener {
    void* self{nullptr};
    void (*event)(void* self, CpuId cpu, Instant now, std::uint32_t number,
                  std::span<std::uint32_t const> words) noexcept {nullptr};
};

// The rings in the order of their pCPUs.
class RingsView {
public:
    class Iterator {
    public:
        explicit Iterator(Ring* const* at) : at_{at} {}
        [[nodiscard]] Ring const& operator*() const { return **at_; }
        Iterator& operator++()
        {
            ++at_;
            return *this;
        }
        friend bool operator==(Iterator, Iterator) = default;

    private:
        Ring* const* at_;
    };

    explicit RingsView(std::span<Ring* const> rings) : rings_{rings} {}
    [[nodiscard]] std::size_t size() const { return rings_.size(); }
    [[nodiscard]] Iterator begin() const { return Iterator{rings_.data()}; }
    [[nodiscard]] Iterator end() const { return Iterator{rings_.data() + rings_.size()}; }
    [[nodiscard]] Ring const& operator[](std::size_t pcpu) const { return *rings_[pcpu]; }

private:
    std::span<Ring* const> rings_;
};

class Tracer {
public:
    Tracer(arch::Env& env, std::span<Ring* const> rings) : env_{env}, rings_{rings} {}

    [[nodiscard]] std::uint32_t mask() const { return mask_.load(std::memory_order_relaxed); }
    // relaxed: a mask guards nothing but itself.
    void set_mask(std::uint32_t mask)
    {
        mask_.store(mask, std::memory_order_relaxed);
        passing_.store(passing(mask), std::memory_order_relaxed);
    }
    // The pCPUs that record; those of the machine that are not in the set no longer do.
    void set_pcpus(CpuMask const& pcpus);
    // Before the first event.
    void set_listener(Listener listener);

    [[nodiscard]] Ring& ring(CpuId cpu) { return *rings_[cpu.value()]; }
    [[nodiscard]] RingsView rings() const { return RingsView{rings_}; }

    // For what would cost to find out: whether anybody wants to know.
    [[nodiscard]] bool wants(Event event) const { return wants(static_cast<std::uint32_t>(event)); }

    template <typename... Words>
    void emit(CpuId self, Instant now, Event event, Words... words)
    {
        if (wants(event)) [[unlikely]]
            record(self, now, static_cast<std::uint32_t>(event), words...);
    }

    // Returns the record's stamp, nothing if such records are not wanted.
    [[gnu::always_inline]] std::optional<std::uint64_t> runstate(CpuId self, Instant now, RunStateCode from,
                                                                 RunStateCode to, std::uint32_t packed_vcpu)
    {
        if (!wants(Event::runstate_change)) // All its sixteen numbers are of one subclass.
            return std::nullopt;
        std::uint32_t const number{runstate_event(from, to)};
        std::uint64_t stamp{0};
        if (!ring(self).try_write([&] { return stamp = env_.trace_clock(self); }, [] {}, number, packed_vcpu))
            [[unlikely]]
            stamp = record_slowly(self, now, number, std::array{packed_vcpu});
        return stamp;
    }

    // Several records that nothing comes between, all of them wanted. nullopt: nothing was done, emit them one by one.
    // Else the stamp of the last one; those before it are, at most, a nanosecond a record earlier.
    template <typename... Entries>
    [[nodiscard, gnu::always_inline]] std::optional<std::uint64_t> all_quickly(CpuId self, Entries const&... entries)
    {
        std::uint64_t read{0};
        if (!ring(self).try_write_all([&] { return read = env_.trace_clock(self); }, [] {}, entries...))
            return std::nullopt;
        return Ring::last_stamp<sizeof...(Entries)>(read);
    }

    // The first record of a pCPU but for its idle vCPU's arrival: what a file without its directory would not tell.
    void hello(CpuId self, Instant now);
    // The trace ends in three steps, for a pCPU that has stopped or is the caller's: losses so far, then whatever
    // closes the trace is emitted, then counts and the last losses.
    void begin_close(CpuId of);
    void close(CpuId of, Instant now);

private:
    [[nodiscard]] bool wants(std::uint32_t number) const
    {
        return (passing_.load(std::memory_order_relaxed) & place_of(number)) != 0;
    }

    template <typename... Words>
    [[nodiscard, gnu::always_inline]] bool quickly(CpuId self, std::uint32_t number, Words... words)
    {
        return ring(self).try_write([&] { return env_.trace_clock(self); }, [] {}, number, words...);
    }

    // Not inlined: there are many places that emit, and most of them are off most of the time.
    template <typename... Words>
    [[gnu::noinline]] void record(CpuId self, Instant now, std::uint32_t number, Words... words)
    {
        if (quickly(self, number, words...))
            return;
        std::array<std::uint32_t, sizeof...(Words)> const list{static_cast<std::uint32_t>(words)...};
        record_slowly(self, now, number, list);
    }

    // Returns the record's stamp, even if it was lost.
    std::uint64_t record_slowly(CpuId self, Instant now, std::uint32_t number, std::span<std::uint32_t const> words);

    arch::Env& env_;
    std::span<Ring* const> rings_;
    std::atomic<std::uint32_t> mask_{mask_all};
    std::atomic<Passing> passing_{passing(mask_all)};
    Listener listener_;
};

} // namespace hv::sched::trace
