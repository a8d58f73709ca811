// The trace writer: one ring a pCPU, written by that pCPU only.
//
// A record goes to the ring of the pCPU that executes, stamped under whatever lock serialises the thing recorded, so
// that stamps follow cause and effect. When a ring is full the newest records are dropped and counted, and a LOST
// record says how many before the next one that fits; close() makes sure that losses at the very end are told too. A
// listener, if there is one, gets every event that passes the mask, ring or no ring. Locking: none; a ring is its
// pCPU's own. Floor: sched.
#pragma once

#include "arch/generic/time.hpp"
#include "arch/generic/types.hpp"
#include "sched/env.hpp"
#include "sched/trace/directory.hpp"
#include "sched/trace/events.hpp"

#include <array>
#include <cstdint>
#include <span>

namespace hv::sched::trace {

// Hears every event as it happens; `now` is the machine's time, not the record's stamp.
struct Listener {
    void* self{nullptr};
    void (*event)(void* self, CpuId cpu, Instant now, std::uint32_t number,
                  std::span<std::uint32_t const> words) noexcept {nullptr};
};

class Ring {
public:
    constexpr Ring() = default;

    // `memory` is empty or a power of two of bytes; `control` stays with the ring.
    void attach(RingControl& control, std::span<std::byte> memory);

    [[nodiscard]] bool attached() const { return control_ != nullptr; }
    [[nodiscard]] RingControl const* control() const { return control_; }
    [[nodiscard]] std::span<std::byte> memory() const { return memory_; }
    // The vCPU that LOST records will name as current here.
    void set_current(std::uint16_t domain, std::uint16_t vcpu)
    {
        current_ = static_cast<std::uint32_t>(vcpu) << 16 | domain;
    }

    void write(std::uint32_t number, std::uint64_t stamp, std::span<std::uint32_t const> words);
    // Tell losses that no later record has told. There always is room for this one record.
    void close(std::uint64_t stamp);

private:
    static constexpr std::size_t lost_record_bytes = 28;

    void put_record(std::uint32_t number, std::uint64_t stamp, std::span<std::uint32_t const> words);
    void put_word(std::uint64_t position, std::uint32_t word);
    void put_lost(std::uint64_t stamp);

    RingControl* control_{nullptr};
    std::span<std::byte> memory_;
    std::uint32_t current_{0};
};

class Tracer {
public:
    Tracer(arch::Env& env, std::span<Ring> rings) : env_{env}, rings_{rings} {}

    [[nodiscard]] std::uint32_t mask() const { return mask_; }
    void set_mask(std::uint32_t mask) { mask_ = mask; }
    void set_listener(Listener listener) { listener_ = listener; }
    [[nodiscard]] Ring& ring(CpuId cpu) { return rings_[cpu.value()]; }
    [[nodiscard]] std::span<Ring const> rings() const { return rings_; }

    template <typename... Words>
    void emit(CpuId self, Instant now, Event event, Words... words)
    {
        emit_number(self, now, static_cast<std::uint32_t>(event), words...);
    }

    void runstate(CpuId self, Instant now, RunStateCode from, RunStateCode to, std::uint32_t packed_vcpu)
    {
        emit_number(self, now, runstate_event(from, to), packed_vcpu);
    }

private:
    template <typename... Words>
    void emit_number(CpuId self, Instant now, std::uint32_t number, Words... words)
    {
        static_assert(sizeof...(Words) <= max_words);
        if (!passes(mask_, number))
            return;
        std::array<std::uint32_t, sizeof...(Words)> const list{static_cast<std::uint32_t>(words)...};
        record(self, now, number, list);
    }

    void record(CpuId self, Instant now, std::uint32_t number, std::span<std::uint32_t const> words);

    arch::Env& env_;
    std::span<Ring> rings_;
    std::uint32_t mask_{mask_all};
    Listener listener_;
};

} // namespace hv::sched::trace
