#include "mm/page_allocator.hpp"

namespace hv::mm {

Result<PhysAddr, AllocError> PageAllocator::allocate(Request const& request)
{
    if (injection_.strikes())
        return fail(exhaustion_of(request.policy));
    return allocate_unharmed(request);
}

Result<PhysAddr, AllocError> PageAllocator::allocate_slowly(CpuId self, Request request)
{
    if (injection_.strikes())
        return fail(exhaustion_of(request.policy));
    PageCache& cache{cache_of(self)};
    PhysAddr block;
    if (may_be_cached(request) && cache.node() == request.node &&
        (cache.try_allocate(request.order, request.owner, block) ||
         (cache.refill(request.order) && cache.try_allocate(request.order, request.owner, block))))
        return block;
    return allocate_unharmed(request);
}

Result<PhysAddr, AllocError> PageAllocator::allocate_unharmed(Request const& request)
{
    if (!request.order.is_valid())
        return fail(AllocError::order_too_large);
    if (request.owner != nullptr && !accounts_.is_attached(*request.owner))
        return fail(AllocError::bad_request);
    if (request.owner != nullptr && !request.owner->grant(request.order.pages()))
        return fail(AllocError::over_limit);
    Result<PhysAddr, AllocError> const placed = place(request);
    if (!placed && request.owner != nullptr)
        request.owner->cancel(request.order.pages());
    return placed;
}

Result<PhysAddr, AllocError> PageAllocator::place(Request const& request)
{
    NodeId const node{request.node};
    NodeMask const set{request.set & NodeMask::first_n(nodes())};
    if (request.policy != Policy::interleave && node.value() >= nodes())
        return fail(AllocError::bad_request);
    if ((request.policy == Policy::strict_set || request.policy == Policy::interleave) && set.empty())
        return fail(AllocError::bad_request);

    switch (request.policy) {
    case Policy::strict_node:
        return take(request, node, false);
    case Policy::strict_set:
        if (Result<PhysAddr, AllocError> const taken = take_nearest(request, set, false))
            return taken;
        return fail(AllocError::exhausted_set);
    case Policy::interleave:
        return place_interleaved(request);
    case Policy::by_number:
        return place_by_number(request);
    case Policy::preferred:
        if (Result<PhysAddr, AllocError> const taken = take_nearest(request, NodeMask::of(node), false))
            return taken;
        if (Result<PhysAddr, AllocError> const taken = take_nearest(request, set, false))
            return taken;
        return spill(request, usable() - set - NodeMask::of(node));
    case Policy::local:
        if (Result<PhysAddr, AllocError> const taken = take_nearest(request, NodeMask::of(node), false))
            return taken;
        return spill(request, usable() - NodeMask::of(node));
    }
    return fail(AllocError::bad_request);
}

Result<PhysAddr, AllocError> PageAllocator::place_interleaved(Request const& request)
{
    NodeMask const set{request.set & NodeMask::first_n(nodes())};
    InterleaveCursor& cursor = request.owner != nullptr ? request.owner->interleave_ : kernel_interleave_;
    NodeId const start{cursor.advance(set)};
    NodeId node{start};
    do {
        if (Result<PhysAddr, AllocError> const taken = take(request, node, false))
            return taken;
        node = set.cycle(node);
    } while (node != start);
    // Going by free memory among equally far nodes would interleave over them too, which nobody asked for.
    for (bool const spares_low : {true, false}) {
        if (spares_low && rules_.low_reserve == 0)
            continue;
        for (unsigned n = 0; n < nodes(); ++n) {
            node = order_.nth(start, n);
            if (set.test(node))
                continue;
            if (Result<PhysAddr, AllocError> const taken = take(request, node, spares_low))
                return taken;
        }
    }
    return fail(AllocError::exhausted);
}

Result<PhysAddr, AllocError> PageAllocator::place_by_number(Request const& request)
{
    if (Result<PhysAddr, AllocError> const taken = take(request, request.node, false))
        return taken;
    NodeMask const set{request.set & usable()};
    for (NodeMask candidates : {set - NodeMask::of(request.node), usable() - set - NodeMask::of(request.node)}) {
        NodeId node{request.node};
        while (!candidates.empty()) {
            node = candidates.cycle(node);
            candidates.clear(node);
            if (Result<PhysAddr, AllocError> const taken = take(request, node, false))
                return taken;
        }
    }
    return fail(AllocError::exhausted);
}

Result<PhysAddr, AllocError> PageAllocator::spill(Request const& request, NodeMask candidates)
{
    if (rules_.low_reserve != 0 && request.below == PhysAddr{physical_limit})
        if (Result<PhysAddr, AllocError> const taken = take_nearest(request, candidates, true))
            return taken;
    return take_nearest(request, candidates, false);
}

Result<PhysAddr, AllocError> PageAllocator::take_nearest(Request const& request, NodeMask candidates, bool spares_low)
{
    candidates = candidates & usable();
    while (!candidates.empty()) {
        NodeMask group{order_.nearest(request.node, candidates)};
        candidates = candidates - group;
        while (!group.empty()) {
            NodeId const node{freest(group)};
            if (Result<PhysAddr, AllocError> const taken = take(request, node, spares_low))
                return taken;
            group.clear(node);
        }
    }
    return fail(AllocError::exhausted);
}

NodeId PageAllocator::freest(NodeMask nodes) const
{
    NodeId best{*nodes.first()};
    if (nodes.count() == 1)
        return best;
    std::uint64_t most{0};
    for (NodeId const node : nodes) {
        std::uint64_t const free_pages{allocator_of(node)->available_pages_hint()};
        if (free_pages > most) {
            most = free_pages;
            best = node;
        }
    }
    return best;
}

Result<PhysAddr, AllocError> PageAllocator::take(Request const& request, NodeId node, bool spares_low)
{
    if (allocator_of(node) == nullptr)
        return fail(AllocError::exhausted_node);
    Result<PhysAddr, AllocError> const block =
        allocator_of(node)->allocate({.order = request.order,
                                      .owner = request.owner != nullptr ? request.owner->domain() : kernel_owner,
                                      .account = request.owner,
                                      .below = request.below.value(),
                                      .spares_low = spares_low});
    if (block && request.owner != nullptr)
        request.owner->charge(node, request.order.pages());
    return block;
}

void PageAllocator::free(PhysAddr block, Order order)
{
    free_home(block, order, reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
}

void PageAllocator::free_slowly(CpuId self, PhysAddr block, Order order)
{
    auto const caller = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
    PageCache& cache{cache_of(self)};
    if (PageCache::keeps(order) && (cache.try_free(block, order, caller) ||
                                    (cache.make_room(block, order) && cache.try_free(block, order, caller))))
        return;
    free_home(block, order, caller);
}

void PageAllocator::free_home(PhysAddr block, Order order, std::uintptr_t caller)
{
    std::optional<NodeId> const node = node_map().node_of(block);
    if (!node || allocator_of(*node) == nullptr) {
        // RAM of a node without an allocator is all reserved.
        rules_.on_misuse({.kind = node ? MisuseKind::never_allocated : MisuseKind::no_memory,
                          .address = block,
                          .order = order,
                          .node = node ? *node : NodeId{},
                          .caller = caller});
        return;
    }
    std::optional<DomainId> const owner = allocator_of(*node)->free(block, order, caller);
    if (!owner)
        return; // Reported.
    if (DomainAccount* const account = accounts_.at(PageEntry{PageState::used, order, *owner}.owner_slot()))
        account->uncharge(*node, order.pages());
}

Status<AllocError> PageAllocator::transfer(PhysAddr block, Order order, DomainAccount* to)
{
    if (!order.is_valid())
        return fail(AllocError::order_too_large);
    if (to != nullptr && !accounts_.is_attached(*to))
        return fail(AllocError::bad_request);
    std::optional<NodeId> const node = node_map().node_of(block);
    if (!node || allocator_of(*node) == nullptr) {
        free(block, order); // Reports why this is no block.
        return fail(AllocError::bad_request);
    }
    if (to != nullptr && !to->grant(order.pages()))
        return fail(AllocError::over_limit);
    DomainId const new_owner{to != nullptr ? to->domain() : kernel_owner};
    std::optional<DomainId> const before = allocator_of(*node)->transfer(block, order, new_owner);
    if (!before) {
        if (to != nullptr)
            to->cancel(order.pages());
        return fail(AllocError::bad_request);
    }
    if (to != nullptr)
        to->charge(*node, order.pages());
    if (DomainAccount* const from = accounts_.at(PageEntry{PageState::used, order, *before}.owner_slot()))
        from->uncharge(*node, order.pages());
    return done;
}

NodeAllocator* PageAllocator::allocator_at(PhysAddr address) const
{
    std::optional<NodeId> const node = node_map().node_of(address);
    return node ? allocator_of(*node) : nullptr;
}

Result<Retirement, AllocError> PageAllocator::retire(PhysAddr page)
{
    NodeAllocator* const node{allocator_at(page)};
    if (node == nullptr)
        return fail(AllocError::bad_request);
    return node->retire(pfn_of(page));
}

Status<AllocError> PageAllocator::put_back(PhysAddr page)
{
    NodeAllocator* const node{allocator_at(page)};
    if (node == nullptr)
        return fail(AllocError::bad_request);
    return node->put_back(pfn_of(page));
}

Status<AllocError> PageAllocator::attach(DomainAccount& account)
{
    if (!accounts_.attach(account))
        return fail(AllocError::bad_request);
    return done;
}

Status<AllocError> PageAllocator::detach(DomainAccount& account)
{
    if (!accounts_.is_attached(account) || account.total() != 0 || account.claimed() != 0)
        return fail(AllocError::bad_request);
    accounts_.detach(account);
    return done;
}

std::uint64_t PageAllocator::scrub_some(NodeId node, std::uint64_t budget)
{
    NodeAllocator* const allocator{node.value() < nodes() ? allocator_of(node) : nullptr};
    return allocator == nullptr ? 0 : allocator->scrub(budget);
}

void PageAllocator::drain_caches()
{
    for (NodeId const node : usable())
        static_cast<void>(allocator_of(node)->drain_caches());
}

} // namespace hv::mm
