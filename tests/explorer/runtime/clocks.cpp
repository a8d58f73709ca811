#include "tests/explorer/runtime/clocks.hpp"

#include "tests/explorer/runtime/arena.hpp"

#include <algorithm>

namespace hv::explorer {

Clocks::Clocks()
    : cells_(Arena::capacity / cell_bytes), released_(Arena::capacity), freed_(Arena::capacity / cell_bytes)
{
}

void Clocks::begin()
{
    ++run_;
    for (unsigned fiber = 0; fiber < fiber_count; ++fiber) {
        now_[fiber] = {};
        now_[fiber][fiber] = 1;
    }
}

bool Clocks::plain(unsigned fiber, std::uint32_t offset, unsigned bytes, bool writes, void const* pc, Race& race)
{
    std::uint32_t const end{std::min(offset + bytes, static_cast<std::uint32_t>(Arena::capacity))};
    while (offset < end) {
        std::uint32_t const cell{offset / cell_bytes}, from{offset % cell_bytes};
        std::uint32_t const to{std::min(cell_bytes, from + (end - offset))};
        std::uint32_t const mask{((1u << to) - 1) & ~((1u << from) - 1)};
        if (touch(fiber, cell, mask, writes, pc, race))
            return true;
        offset += to - from;
    }
    return false;
}

bool Clocks::touch(unsigned fiber, std::uint32_t index, std::uint32_t mask, bool writes, void const* pc, Race& race)
{
    Cell& cell{cells_[index]};
    if (cell.run != run_) {
        cell = {};
        cell.run = run_;
    }
    Clock const& mine{now_[fiber]};
    for (unsigned other = 0; other < fiber_count; ++other) {
        if (other == fiber)
            continue;
        auto const meets = [&](Touch const& before) { return (before.mask & mask) != 0 && before.clock > mine[other]; };
        if (meets(cell.wrote[other]) || (writes && meets(cell.read[other]))) {
            bool const wrote{meets(cell.wrote[other])};
            race = {.other = other, .other_pc = (wrote ? cell.wrote : cell.read)[other].pc, .other_wrote = wrote};
            return true;
        }
    }
    // The last one only: an earlier one at other bytes of the cell is forgotten, rather than said to be later.
    (writes ? cell.wrote : cell.read)[fiber] = {.clock = mine[fiber], .mask = mask, .pc = pc};
    return false;
}

void Clocks::free(std::uint32_t offset, std::uint32_t bytes)
{
    std::uint32_t const first{(offset + cell_bytes - 1) / cell_bytes}, end{(offset + bytes) / cell_bytes};
    for (std::uint32_t cell = first; cell < end; ++cell)
        freed_[cell] = run_;
}

void Clocks::acquire(unsigned fiber, std::uint32_t offset)
{
    Released const& released{released_[offset]};
    if (released.run != run_)
        return;
    for (unsigned i = 0; i < fiber_count; ++i)
        now_[fiber][i] = std::max(now_[fiber][i], released.clock[i]);
}

Clock Clocks::leave(unsigned fiber)
{
    Clock const left{now_[fiber]};
    ++now_[fiber][fiber];
    return left;
}

void Clocks::publish(std::uint32_t offset, bool follows, Clock const& clock)
{
    Released& released{released_[offset]};
    if (!follows || released.run != run_)
        released.clock = {};
    released.run = run_;
    for (unsigned i = 0; i < fiber_count; ++i)
        released.clock[i] = std::max(released.clock[i], clock[i]);
}

void Clocks::forget(std::uint32_t offset) { released_[offset].run = 0; }

} // namespace hv::explorer
