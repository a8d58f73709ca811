// The part of PageAllocator that promises memory to domains before they are built.
#include "mm/page_allocator.hpp"

namespace hv::mm {

Status<AllocError> PageAllocator::claim(DomainAccount& account, std::span<Claim const> parts)
{
    if (!accounts_.is_attached(account))
        return fail(AllocError::bad_request);
    std::uint64_t sum{account.total() + account.claimed()};
    for (Claim const& part : parts) {
        if (part.nodes.empty() || !part.nodes.is_subset_of(NodeMask::first_n(nodes())) || part.pages > physical_limit)
            return fail(AllocError::bad_request);
        sum += part.pages;
        if (sum > account.max_pages())
            return fail(AllocError::over_limit);
    }
    if (injection_.strikes())
        return fail(AllocError::exhausted_set);

    Guard guard{claims_lock_, irqs_off};
    std::array<std::uint64_t, NodeMask::capacity> before{};
    for (NodeId const node : NodeMask::first_n(nodes()))
        before[node.value()] = account.claim_on(node);
    for (Claim const& part : parts) {
        if (claim_part(account, part))
            continue;
        for (NodeId const node : usable())
            allocator_of(node)->unclaim(account, account.claim_on(node) - before[node.value()]);
        return fail(AllocError::exhausted_set);
    }
    return done;
}

bool PageAllocator::claim_part(DomainAccount& account, Claim const& part)
{
    NodeMask const nodes{part.nodes & usable()};
    std::uint64_t missing{part.pages};
    // First each node its share, in whole 2 MiB as the domain will want them; then who has room makes up for the rest.
    std::uint64_t const share{nodes.empty() ? 0 : round_up(part.pages / nodes.count(), order_2m.pages())};
    if (nodes.count() > 1)
        for (NodeId const node : nodes)
            missing -= claim_on(account, node, 0, share < missing ? share : missing);
    for (NodeId const node : nodes) {
        if (missing == 0)
            break;
        missing -= claim_on(account, node, nodes.count() > 1 ? 0 : missing, missing);
    }
    return missing == 0;
}

std::uint64_t PageAllocator::claim_on(DomainAccount& account, NodeId node, std::uint64_t least, std::uint64_t most)
{
    NodeAllocator& allocator{*allocator_of(node)};
    std::uint64_t got{allocator.claim(account, least, most)};
    // What the caches have is not promised to anybody; back with the node it can be.
    if (got < most && allocator.drain_caches())
        got += allocator.claim(account, least > got ? least - got : 0, most - got);
    return got;
}

void PageAllocator::unclaim_all(DomainAccount& account)
{
    HV_ASSERT(accounts_.is_attached(account));
    Guard guard{claims_lock_, irqs_off};
    for (NodeId const node : usable())
        if (std::uint64_t const pages = account.claim_on(node); pages != 0)
            allocator_of(node)->unclaim(account, pages);
}

void PageAllocator::begin_destruction(DomainAccount& account)
{
    unclaim_all(account);
    account.set_dying();
}

void PageAllocator::reclaim(DomainAccount& account)
{
    HV_ASSERT(accounts_.is_attached(account) && account.is_dying());
    for (NodeId const node : usable()) {
        NodeAllocator const& allocator{*allocator_of(node)};
        Pfn at{};
        while (account.pages_on(node) > 0 && at < allocator.end())
            if (std::optional<BlockRef> const block = allocator.find_owned(account.domain(), at))
                free(address_of(block->first), block->entry().order());
    }
}

} // namespace hv::mm
