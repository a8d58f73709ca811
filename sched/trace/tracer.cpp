#include "sched/trace/tracer.hpp"

#include <atomic>
#include <bit>
#include <cstring>

namespace hv::sched::trace {

namespace {

constexpr std::uint32_t has_stamp = std::uint32_t{1} << 31;

[[nodiscard]] constexpr std::size_t record_bytes(std::size_t words) { return 4 + 8 + 4 * words; }

} // namespace

void Ring::attach(RingControl& control, std::span<std::byte> memory)
{
    HV_ASSERT(memory.empty() || std::has_single_bit(memory.size()));
    control_ = &control;
    memory_ = memory;
}

void Ring::write(std::uint32_t number, std::uint64_t stamp, std::span<std::uint32_t const> words)
{
    RingControl& control{*control_};
    // acquire: the host has finished copying what it releases by moving tail.
    std::uint64_t const tail{std::atomic_ref{control.tail}.load(std::memory_order_acquire)};
    std::size_t const pending = control.lost_pending != 0 ? lost_record_bytes : 0;
    std::size_t const needed = pending + record_bytes(words.size());
    // One LOST record's worth always stays free, so that close() can tell what was dropped last.
    if (control.head - tail + needed + lost_record_bytes > memory_.size()) {
        if (control.lost_pending++ == 0)
            control.lost_first_stamp = stamp;
        ++control.lost_total;
        return;
    }
    if (pending != 0)
        put_lost(stamp);
    put_record(number, stamp, words);
}

void Ring::close(std::uint64_t stamp)
{
    if (control_->lost_pending != 0)
        put_lost(stamp);
}

void Ring::put_lost(std::uint64_t stamp)
{
    RingControl& control{*control_};
    std::array<std::uint32_t, 4> const words{static_cast<std::uint32_t>(control.lost_pending), current_,
                                             static_cast<std::uint32_t>(control.lost_first_stamp),
                                             static_cast<std::uint32_t>(control.lost_first_stamp >> 32)};
    control.lost_pending = 0;
    put_record(static_cast<std::uint32_t>(Event::lost_records), stamp, words);
}

void Ring::put_record(std::uint32_t number, std::uint64_t stamp, std::span<std::uint32_t const> words)
{
    std::uint64_t position{control_->head};
    put_word(position, number | static_cast<std::uint32_t>(words.size()) << 28 | has_stamp);
    put_word(position += 4, static_cast<std::uint32_t>(stamp));
    put_word(position += 4, static_cast<std::uint32_t>(stamp >> 32));
    for (std::uint32_t const word : words)
        put_word(position += 4, word);
    // release: whoever sees the new head also sees the whole record.
    std::atomic_ref{control_->head}.store(position + 4, std::memory_order_release);
}

void Ring::put_word(std::uint64_t position, std::uint32_t word)
{
    std::memcpy(memory_.data() + (position & (memory_.size() - 1)), &word, sizeof word);
}

void Tracer::record(CpuId self, Instant now, std::uint32_t number, std::span<std::uint32_t const> words)
{
    if (listener_.event != nullptr)
        listener_.event(listener_.self, self, now, number, words);
    Ring& ring{rings_[self.value()]};
    if (!ring.memory().empty())
        ring.write(number, env_.trace_clock(self), words);
}

} // namespace hv::sched::trace
