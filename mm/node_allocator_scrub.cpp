// The parts of NodeAllocator that are not about single blocks: zeroing what dead domains left, and claims.
#include "mm/node_allocator.hpp"

#include <bit>
#include <cstring>

namespace hv::mm {

void NodeAllocator::zero(Pfn first, std::uint64_t pages) const
{
    void* const content{rules_.map.at<void>(address_of(first))};
    if (rules_.zero != nullptr)
        rules_.zero(content, pages << page_shift);
    else
        std::memset(content, 0, pages << page_shift);
}

void NodeAllocator::finish_scrub(BlockRef block, std::uint64_t pages)
{
    HV_ASSERT(block.entry().state() == PageState::scrubbing && block.entry().order().pages() == pages);
    HV_ASSERT(scrubbing_ >= pages);
    scrubbing_ -= pages;
    buddy_.put(block, block.entry().order());
    note_free();
}

std::uint64_t NodeAllocator::scrub(std::uint64_t budget)
{
    // acquire and release: who comes next sees the hint that the last one left, and does not take the lock for nothing.
    // Nothing else hangs on it, as dirty blocks are taken and given back under the lock.
    if (dirty_pages_hint() == 0 || has_scrubber_.exchange(true, std::memory_order_acquire))
        return 0;
    std::uint64_t const zeroed{scrub_alone(budget)};
    has_scrubber_.store(false, std::memory_order_release);
    return zeroed;
}

std::uint64_t NodeAllocator::scrub_alone(std::uint64_t budget)
{
    std::uint64_t zeroed{0};
    while (zeroed < budget && dirty_pages_hint() > 0) {
        std::optional<BlockRef> dirty;
        std::uint64_t pages{0};
        {
            Guard guard{lock_, irqs_off};
            auto const largest = static_cast<unsigned>(std::bit_width(budget - zeroed)) - 1;
            dirty = buddy_.take_dirty(Order{0}, Order{largest});
            if (!dirty)
                break;
            pages = dirty->entry().order().pages();
            scrubbing_ += pages;
            note_free();
        }
        zero(dirty->first, pages);
        zeroed += pages;
        Guard guard{lock_, irqs_off};
        finish_scrub(*dirty, pages);
    }
    return zeroed;
}

std::uint64_t NodeAllocator::claim(DomainAccount& account, std::uint64_t least, std::uint64_t most)
{
    Guard guard{lock_, irqs_off};
    std::uint64_t const room{unclaimed()};
    std::uint64_t const pages{room < most ? room : most};
    if (pages < least)
        return 0;
    claimed_ += pages;
    account.claim(node_, pages);
    return pages;
}

void NodeAllocator::unclaim(DomainAccount& account, std::uint64_t pages)
{
    Guard guard{lock_, irqs_off};
    HV_ASSERT(pages <= account.claim_on(node_) && pages <= claimed_);
    claimed_ -= pages;
    account.unclaim(node_, pages);
}

} // namespace hv::mm
