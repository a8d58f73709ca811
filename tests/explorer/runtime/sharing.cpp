#include "tests/explorer/runtime/sharing.hpp"

#include "tests/explorer/runtime/arena.hpp"
#include "tests/explorer/runtime/clocks.hpp"

#include <utility>

namespace hv::explorer {

Sharing::Sharing() : words_(Arena::capacity) {}

void Sharing::touch(std::uint32_t offset, unsigned fiber, bool writes)
{
    std::uint8_t& word{words_[offset]};
    unsigned const bit{1u << (fiber + (writes ? fiber_count : 0))};
    if ((word & bit) != 0)
        return;
    word = static_cast<std::uint8_t>(word | bit);
    unsigned const readers{word & 7u}, writers{(word >> fiber_count) & 7u}, all{readers | writers};
    if (writers != 0 && (all & (all - 1)) != 0 && !is_contended(offset)) {
        word = static_cast<std::uint8_t>(word | contended);
        grown_ = true;
    }
}

void Sharing::share_all()
{
    for (std::uint8_t& word : words_)
        word = static_cast<std::uint8_t>(word | contended);
}

void Sharing::note_lock(std::uint32_t offset)
{
    for (std::uint32_t const at : {offset, offset + 2})
        words_[at] = static_cast<std::uint8_t>(words_[at] | lock);
}

bool Sharing::has_grown() { return std::exchange(grown_, false); }

} // namespace hv::explorer
