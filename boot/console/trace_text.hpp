// Trace records in words, out of the rings of the running machine: the last of them over all pCPUs, in the order of
// their stamps.
//
// A ring may be written meanwhile. What lies between tail and head stays as it is unless its reader, or the writer in
// flight mode, moves the tail on; a record that the tail has passed by the time it was read is left out. Locking: none.
// Floor: boot/console.
#pragma once

#include "arch/generic/format.hpp"
#include "sched/trace/tracer.hpp"

#include <array>
#include <span>

namespace hv::console {

struct TraceRecord {
    std::uint32_t number{0};
    std::uint32_t words{0};
    std::uint64_t stamp{0};
    std::array<std::uint32_t, sched::trace::max_words> payload{};
};

// Goes through one ring from its oldest record to what was its newest when this was made; every record of ours carries
// a stamp.
class RingReader {
public:
    constexpr RingReader() = default;
    explicit RingReader(sched::trace::Ring const& ring);

    [[nodiscard]] bool at_end() const { return at_ >= end_; }
    [[nodiscard]] std::uint64_t stamp() const { return word(1) | std::uint64_t{word(2)} << 32; }
    [[nodiscard]] TraceRecord read() const;
    // Whether what was read was still there then.
    [[nodiscard]] bool is_intact() const;
    void advance() { at_ += sched::trace::record_bytes(words()); }
    [[nodiscard]] std::uint64_t count_rest() const;

private:
    [[nodiscard]] std::uint32_t words() const { return word(0) >> 28 & 7; }
    [[nodiscard]] std::uint32_t word(unsigned index) const;

    sched::trace::Ring const* ring_{nullptr};
    std::uint64_t at_{0}, end_{0};
};

// "     1.000020000 pcpu 3   vcpu_wake d1v0", without a line end.
void write_record(Sink& sink, unsigned pcpu, TraceRecord const& record);

// Calls show(pCPU, record) for the last `count` records. `readers`: room for one a pCPU.
template <typename Show>
void for_last_records(sched::trace::RingsView rings, std::span<RingReader> readers, std::uint64_t count, Show show)
{
    std::uint64_t total{0};
    for (std::size_t i = 0; i < rings.size(); ++i) {
        readers[i] = rings[i].memory().empty() ? RingReader{} : RingReader{rings[i]};
        std::uint64_t const mine{readers[i].count_rest()};
        // No more than `count` of one ring can be among the last `count` of all.
        for (std::uint64_t skip = mine > count ? mine - count : 0; skip > 0 && !readers[i].at_end(); --skip)
            readers[i].advance();
        total += mine > count ? count : mine;
    }
    for (; total > 0; --total) {
        std::size_t first{rings.size()};
        for (std::size_t i = 0; i < rings.size(); ++i)
            if (!readers[i].at_end() && (first == rings.size() || readers[i].stamp() < readers[first].stamp()))
                first = i;
        if (first == rings.size())
            return;
        TraceRecord const record{readers[first].read()};
        if (total <= count && readers[first].is_intact())
            show(static_cast<unsigned>(first), record);
        readers[first].advance();
    }
}

} // namespace hv::console
