// One pCPU's trace records: a ring of bytes with one writer, which interrupts and NMIs may interrupt at any point.
//
// A writer reserves its bytes with one instruction that such an interruption cannot split, and only then fills them; a
// writer that interrupts another comes after it in the ring and is complete before the other goes on. So whoever finds
// that nothing before its own bytes is unpublished is the outermost, and publishes everything. A stamp is taken before
// the reservation and anew if that fails: stamps never go back.
//
// The quick way asks one question only: does the record end below `limit`? Everything unusual (a reader's progress, the
// ring's physical end, a full ring, losses to tell, a pCPU that is not to be traced, somebody who listens) lowers that
// limit and is dealt with in make_room(). What is lost is counted exactly, and told by a LOST record before the next
// one that fits; room for what closes the trace is kept back.
//
// Locking: none. Everything is for the ring's own pCPU, or for who has stopped it, except set_muted, which anybody may
// call. Interrupts on or off. Floor: sched.
#pragma once

#include "sched/trace/directory.hpp"
#include "sched/trace/events.hpp"

#include <arch/cpu.hpp>
#include <arch/env.hpp>

#include <array>
#include <atomic>
#include <optional>
#include <span>
#include <utility>

namespace hv::sched::trace {

inline constexpr std::uint32_t has_stamp = std::uint32_t{1} << 31;

[[nodiscard]] constexpr std::uint64_t record_bytes(std::size_t words) { return 4 + 8 + 4 * words; }

// A record but for its stamp.
template <std::size_t Words>
struct Entry {
    std::uint32_t number;
    std::array<std::uint32_t, Words> words;
    static constexpr std::uint64_t bytes{record_bytes(Words)};
};
template <typename... Words>
[[nodiscard]] constexpr Entry<sizeof...(Words)> entry(std::uint32_t number, Words... words)
{
    static_assert(sizeof...(Words) <= max_words);
    return {number, {static_cast<std::uint32_t>(words)...}};
}

// alignas: control_ begins the object, and no two pCPUs write to one cache line.
class alignas(128) Ring {
public:
    static constexpr std::uint64_t lost_record_bytes = record_bytes(4);
    // Kept back while the trace is open: the losses so far, the departure of what runs, the losses after that.
    static constexpr std::uint64_t closing_reserve = 96;

    Ring() = default;
    Ring(Ring const&) = delete;
    Ring& operator=(Ring const&) = delete;

    // `memory` is empty (then every record is passed over) or a power of two of at least 128 bytes. Once.
    void attach(std::span<std::byte> memory, Mode mode);

    [[nodiscard]] RingControl* control() { return &control_; }
    [[nodiscard]] RingControl const* control() const { return &control_; }
    [[nodiscard]] std::span<std::byte> memory() const { return memory_; }
    [[nodiscard]] Mode mode() const { return mode_; }

    // The vCPU that LOST records will name as current here.
    void set_current(std::uint16_t domain, std::uint16_t vcpu)
    {
        current_ = static_cast<std::uint32_t>(vcpu) << 16 | domain;
    }
    // A muted ring takes no more records until it is unmuted. Any pCPU.
    void set_muted(bool muted);
    [[nodiscard]] bool is_muted() const { return muted_.load(std::memory_order_relaxed); }
    // Lets no record go the quick way, so that the tracer sees each of them.
    void take_the_long_way();

    // The quick way. false: nothing was done, go write_slowly. `interruption` is for tests: what may come between
    // reservation and publication.
    template <typename Clock, typename Interruption, typename... Words>
    [[nodiscard, gnu::always_inline]] bool try_write(Clock const& clock, Interruption const& interruption,
                                                     std::uint32_t number, Words... words)
    {
        static_assert(sizeof...(Words) <= max_words);
        constexpr std::uint64_t bytes{record_bytes(sizeof...(Words))};
        std::uint64_t const at{control_.reserve};
        if (!is_open(at + bytes)) [[unlikely]]
            return false;
        std::uint64_t const lap{control_.lap};
        std::uint64_t const stamp{stamp_now(clock)};
        if (!arch::local_compare_exchange(control_.reserve, at, at + bytes)) [[unlikely]]
            return false; // Somebody came in between, and the stamp would be older than theirs.
        interruption();
        auto* const to = reinterpret_cast<std::byte*>(lap + at);
        put(to, number | static_cast<std::uint32_t>(sizeof...(Words)) << 28 | has_stamp);
        put(to + 4, stamp);
        [[maybe_unused]] std::size_t offset{12};
        ((put(to + offset, static_cast<std::uint32_t>(words)), offset += 4), ...);
        publish(at, at + bytes);
        return true;
    }

    // The same for records that nothing is to come between. (Apart from try_write, since compilers keep entries in
    // memory, and single records are counted by the instruction.)
    template <typename Clock, typename Interruption, typename... Entries>
    [[nodiscard, gnu::always_inline]] bool try_write_all(Clock const& clock, Interruption const& interruption,
                                                         Entries const&... entries)
    {
        constexpr std::uint64_t bytes{(0 + ... + Entries::bytes)};
        std::uint64_t const at{control_.reserve};
        if (!is_open(at + bytes)) [[unlikely]]
            return false;
        std::uint64_t to{control_.lap + at};
        std::array const stamps{stamps_now(clock, std::make_index_sequence<sizeof...(Entries)>{})};
        if (!arch::local_compare_exchange(control_.reserve, at, at + bytes)) [[unlikely]]
            return false;
        interruption();
        std::size_t index{0};
        ((fill(reinterpret_cast<std::byte*>(to), stamps[index++], entries), to += Entries::bytes), ...);
        publish(at, at + bytes);
        return true;
    }

    // The stamp of the last of so many records that were written at once, from what the clock said last.
    template <std::size_t Records>
    [[nodiscard]] static constexpr std::uint64_t last_stamp(std::uint64_t read)
    {
        return Records <= arch::Env::trace_clock_gap_ns ? read + Records - 1 : read;
    }

    // Any record, any state of the ring. false: it was lost, and counted, or the ring is muted or has no memory.
    template <typename Clock>
    bool write_slowly(Clock const& clock, std::uint32_t number, std::span<std::uint32_t const> words)
    {
        if (memory_.empty() || is_muted())
            return false;
        while (true) {
            std::uint64_t const before{control_.reserve};
            std::uint64_t const stamp{clock()};
            if (control_.reserve != before)
                continue; // somebody came in between, as above
            std::optional<std::uint64_t> const at{make_room(record_bytes(words.size()), stamp)};
            if (!at)
                return false;
            if (put_record(*at, number, stamp, words))
                return true;
        }
    }

    // From here on only what closes the trace is written: losses so far are told, and the room kept back is opened.
    void begin_close(std::uint64_t stamp);
    // Tells the losses that no later record has told. There always is room for this one record.
    void close(std::uint64_t stamp);
    // After a panic, on whichever pCPU it was: forgets a record that its pCPU did not come to complete.
    void forget_incomplete() { control_.reserve = control_.head; }

private:
    // relaxed: another pCPU that mutes the ring may be seen a record late.
    [[nodiscard, gnu::always_inline]] bool is_open(std::uint64_t end) const
    {
        return end <= __atomic_load_n(&control_.limit, __ATOMIC_RELAXED);
    }
    template <typename Clock>
    [[nodiscard, gnu::always_inline]] static std::uint64_t stamp_now(Clock const& clock)
    {
        std::uint64_t stamp{clock()};
        asm("" : "+r"(stamp)); // worked out here: what it is worked out from needs more registers
        return stamp;
    }
    // Of records that follow each other at once. Where a reading of the clock and a record take so many ns that all of
    // them are over by the next reading, one will do.
    template <typename Clock, std::size_t... I>
    [[nodiscard, gnu::always_inline]] static std::array<std::uint64_t, sizeof...(I)>
    stamps_now(Clock const& clock, std::index_sequence<I...>)
    {
        if constexpr (sizeof...(I) <= arch::Env::trace_clock_gap_ns) {
            std::uint64_t const first{stamp_now(clock)};
            return {(first + I)...};
        } else {
            return {(static_cast<void>(I), stamp_now(clock))...};
        }
    }
    template <std::size_t Words>
    [[gnu::always_inline]] static void fill(std::byte* to, std::uint64_t stamp, Entry<Words> const& entry)
    {
        put(to, entry.number | static_cast<std::uint32_t>(Words) << 28 | has_stamp);
        put(to + 4, stamp);
        fill_words(to + 12, entry, std::make_index_sequence<Words>{});
    }
    template <std::size_t Words, std::size_t... I>
    [[gnu::always_inline]] static void fill_words(std::byte* to, Entry<Words> const& entry, std::index_sequence<I...>)
    {
        (put(to + 4 * I, entry.words[I]), ...);
    }
    template <typename T>
    static void put(std::byte* to, T value)
    {
        // Not std::memcpy: in freestanding code that is a call. Records are aligned to four bytes only.
        __builtin_memcpy(to, &value, sizeof value);
    }

    // The record [at, end) is complete.
    void publish(std::uint64_t at, std::uint64_t end)
    {
        if (control_.head != at) [[unlikely]]
            return; // Within another's record: that one publishes ours too.
        set_head(end);
        if (control_.reserve != end) [[unlikely]]
            publish_interruptions();
    }
    void set_head(std::uint64_t head)
    {
        // release: whoever sees the new head also sees the whole record.
        std::atomic_ref{control_.head}.store(head, std::memory_order_release);
        std::atomic_signal_fence(std::memory_order_seq_cst); // an interruption before this point shows after it
    }

    void publish_interruptions();
    [[nodiscard]] bool is_interruption() const { return control_.head != control_.reserve; }
    [[nodiscard]] std::uint64_t room() const;
    [[nodiscard]] std::optional<std::uint64_t> make_room(std::uint64_t bytes, std::uint64_t stamp);
    void overwrite_oldest(std::uint64_t end);
    void count_lost(std::uint64_t stamp);
    void tell_losses(std::uint64_t stamp);
    [[nodiscard]] bool put_lost(std::uint64_t at, std::uint64_t stamp);
    [[nodiscard]] bool put_record(std::uint64_t at, std::uint32_t number, std::uint64_t stamp,
                                  std::span<std::uint32_t const> words);
    void put_word(std::uint64_t position, std::uint32_t word);
    [[nodiscard]] std::uint32_t word_at(std::uint64_t position) const;
    void renew_limit();
    void set_limit(std::uint64_t limit);

    RingControl control_;
    std::span<std::byte> memory_;
    std::uint32_t current_{0};
    Mode mode_{Mode::drop};
    bool closing_{false};
    bool long_way_{false};
    std::atomic<bool> muted_{false};
};

} // namespace hv::sched::trace
