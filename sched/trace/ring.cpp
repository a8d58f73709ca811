#include "sched/trace/ring.hpp"

#include "arch/generic/assert.hpp"

#include <array>
#include <bit>

namespace hv::sched::trace {

void Ring::attach(std::span<std::byte> memory, Mode mode)
{
    HV_ASSERT(memory.empty() || (std::has_single_bit(memory.size()) && memory.size() >= 128));
    memory_ = memory;
    mode_ = mode;
    renew_limit();
}

void Ring::set_muted(bool muted)
{
    // seq_cst: either the writer, in renew_limit, sees that it is muted, or this lowers the limit that it has set.
    muted_.store(muted);
    if (muted)
        std::atomic_ref{control_.limit}.store(0);
}

void Ring::take_the_long_way()
{
    long_way_ = true;
    set_limit(0);
}

// What came in while the outermost record was written is complete by now; more may come in at any point.
void Ring::publish_interruptions()
{
    for (std::uint64_t end = control_.head; end != control_.reserve;)
        set_head(end = control_.reserve);
}

void Ring::set_limit(std::uint64_t limit) { std::atomic_ref{control_.limit}.store(limit); }

// How many bytes may be unread.
std::uint64_t Ring::room() const { return memory_.size() - (closing_ ? lost_record_bytes : closing_reserve); }

// The quick way is open up to where the reader or the ring's physical end is, unless something has to be looked at each
// time. Another pCPU's muting is either seen here or comes after.
void Ring::renew_limit()
{
    bool const open{!memory_.empty() && !long_way_ && !closing_ && control_.lost_pending == 0};
    if (!open)
        return;
    std::uint64_t const at{control_.reserve};
    std::uint64_t const inside{at & (memory_.size() - 1)};
    std::uint64_t const lap_end{at - inside + memory_.size()};
    // acquire: the reader has finished copying what it releases by moving tail.
    std::uint64_t const full{std::atomic_ref{control_.tail}.load(std::memory_order_acquire) + room()};
    // A writer that interrupts must not find the old limit beside the new lap, or the other way round.
    set_limit(0);
    control_.lap = reinterpret_cast<std::uint64_t>(memory_.data()) + inside - at;
    set_limit(full < lap_end ? full : lap_end);
    if (muted_.load())
        set_limit(0);
}

// Where a record of so many bytes may be written, after the LOST record that is due before it; nothing if it is lost.
std::optional<std::uint64_t> Ring::make_room(std::uint64_t bytes, std::uint64_t stamp)
{
    while (true) {
        std::uint64_t const at{control_.reserve};
        // Within another's record no losses are told: LOST would name a vCPU that is not current any more, or not yet.
        bool const tells_losses{control_.lost_pending != 0 && !is_interruption()};
        std::uint64_t const end{at + bytes + (tells_losses ? lost_record_bytes : 0)};
        if (mode_ == Mode::flight)
            overwrite_oldest(end);
        bool const has_stopped{mode_ == Mode::stop && control_.lost_total != 0 && !closing_};
        std::uint64_t const tail{std::atomic_ref{control_.tail}.load(std::memory_order_acquire)};
        if (has_stopped || end - tail > room()) {
            count_lost(stamp);
            return std::nullopt;
        }
        if (!tells_losses)
            return at;
        static_cast<void>(put_lost(at, stamp)); // Told by this or by who came in between: look again.
    }
}

// Flight mode: gives up the oldest records until what is to be written up to `end` fits, and some more, so that this is
// not to be done at each record. Never what is not published yet.
void Ring::overwrite_oldest(std::uint64_t end)
{
    std::uint64_t const at_once{memory_.size() / 16};
    while (true) {
        std::uint64_t const before{control_.tail};
        if (end - before <= room())
            return;
        std::uint64_t tail{before};
        std::uint64_t given_up{0};
        while (tail != control_.head && end + at_once - tail > room()) {
            std::uint32_t const header{word_at(tail)};
            constexpr std::uint32_t number_bits = 0x0fff'ffff;
            bool const tells_losses{(header & number_bits) == static_cast<std::uint32_t>(Event::lost_records)};
            given_up += tells_losses ? word_at(tail + 12) : 1; // with it goes what it tells of
            tail += record_bytes(header >> 28 & 7);
        }
        if (!arch::local_compare_exchange(control_.tail, before, tail))
            continue; // an interruption did it
        // Nothing is overwritten before a reader, after a crash at this very point, would see that it is given up. A
        // fence for the compiler is enough: who reads then reads what this pCPU's stores, in their order, have left.
        std::atomic_signal_fence(std::memory_order_release);
        arch::local_add(control_.overwritten, given_up);
        return;
    }
}

void Ring::count_lost(std::uint64_t stamp)
{
    set_limit(0); // A shorter record might still fit, but would overtake the losses.
    if (arch::local_add(control_.lost_pending, 1) == 0)
        control_.lost_first_stamp = stamp;
    arch::local_add(control_.lost_total, 1);
}

// false: an interruption took the place.
bool Ring::put_lost(std::uint64_t at, std::uint64_t stamp)
{
    std::uint64_t const first{control_.lost_first_stamp};
    std::uint64_t const count{control_.lost_pending};
    // A reader wants the LOST record after the first that was lost, not at the same time.
    std::uint64_t const later{stamp > first ? stamp : first + 1};
    std::array<std::uint32_t, 4> const words{static_cast<std::uint32_t>(count), current_,
                                             static_cast<std::uint32_t>(first),
                                             static_cast<std::uint32_t>(first >> 32)};
    if (!put_record(at, static_cast<std::uint32_t>(Event::lost_records), later, words))
        return false;
    // What an interruption has lost since stays to be told.
    if (arch::local_add(control_.lost_pending, -count) != count)
        control_.lost_first_stamp = later;
    renew_limit();
    return true;
}

bool Ring::put_record(std::uint64_t at, std::uint32_t number, std::uint64_t stamp, std::span<std::uint32_t const> words)
{
    std::uint64_t const end{at + record_bytes(words.size())};
    if (!arch::local_compare_exchange(control_.reserve, at, end))
        return false;
    std::uint64_t position{at};
    put_word(position, number | static_cast<std::uint32_t>(words.size()) << 28 | has_stamp);
    put_word(position += 4, static_cast<std::uint32_t>(stamp));
    put_word(position += 4, static_cast<std::uint32_t>(stamp >> 32));
    for (std::uint32_t const word : words)
        put_word(position += 4, word);
    publish(at, end);
    renew_limit();
    return true;
}

void Ring::put_word(std::uint64_t position, std::uint32_t word)
{
    __builtin_memcpy(memory_.data() + (position & (memory_.size() - 1)), &word, sizeof word);
}

std::uint32_t Ring::word_at(std::uint64_t position) const
{
    std::uint32_t word{0};
    __builtin_memcpy(&word, memory_.data() + (position & (memory_.size() - 1)), sizeof word);
    return word;
}

void Ring::begin_close(std::uint64_t stamp)
{
    if (memory_.empty())
        return;
    closing_ = true;
    set_limit(0);
    if (mode_ == Mode::flight)
        overwrite_oldest(control_.reserve + 2 * lost_record_bytes);
    tell_losses(stamp);
}

// Nothing may come in between any more.
void Ring::tell_losses(std::uint64_t stamp)
{
    bool const told{control_.lost_pending == 0 || put_lost(control_.reserve, stamp)};
    HV_ASSERT(told);
}

void Ring::close(std::uint64_t stamp)
{
    if (memory_.empty())
        return;
    begin_close(stamp); // if it was not yet
    tell_losses(stamp);
}

} // namespace hv::sched::trace
