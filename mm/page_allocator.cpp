#include "mm/page_allocator.hpp"

namespace hv::mm {

Result<PhysAddr, AllocError> PageAllocator::allocate(Request const& request)
{
    if (!request.order.is_valid())
        return fail(AllocError::order_too_large);
    if (request.owner == nullptr)
        return place(request);
    if (!is_attached(*request.owner))
        return fail(AllocError::bad_request);
    if (!request.owner->grant(request.order.pages()))
        return fail(AllocError::over_limit);
    Result<PhysAddr, AllocError> const placed = place(request);
    if (!placed)
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
        return take(request, node);
    case Policy::strict_set:
        if (Result<PhysAddr, AllocError> const taken = take_nearest(request, set))
            return taken;
        return fail(AllocError::exhausted_set);
    case Policy::interleave:
        return place_interleaved(request);
    case Policy::preferred:
        if (Result<PhysAddr, AllocError> const taken = take_nearest(request, NodeMask::of(node)))
            return taken;
        if (Result<PhysAddr, AllocError> const taken = take_nearest(request, set))
            return taken;
        return take_nearest(request, usable_ - set - NodeMask::of(node));
    case Policy::local:
        return take_nearest(request, usable_);
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
        if (Result<PhysAddr, AllocError> const taken = take(request, node))
            return taken;
        node = set.cycle(node);
    } while (node != start);
    // Going by free memory among equally far nodes would interleave over them too, which nobody asked for.
    for (unsigned n = 0; n < nodes(); ++n) {
        node = order_.nth(start, n);
        if (set.test(node))
            continue;
        if (Result<PhysAddr, AllocError> const taken = take(request, node))
            return taken;
    }
    return fail(AllocError::exhausted);
}

Result<PhysAddr, AllocError> PageAllocator::take_nearest(Request const& request, NodeMask candidates)
{
    candidates = candidates & usable_;
    while (!candidates.empty()) {
        NodeMask group{order_.nearest(request.node, candidates)};
        candidates = candidates - group;
        while (!group.empty()) {
            NodeId const node{freest(group)};
            if (Result<PhysAddr, AllocError> const taken = take(request, node))
                return taken;
            group.clear(node);
        }
    }
    return fail(AllocError::exhausted);
}

NodeId PageAllocator::freest(NodeMask nodes) const
{
    NodeId best{*nodes.first()};
    std::uint64_t most{0};
    for (NodeId const node : nodes) {
        std::uint64_t const free_pages{nodes_[node.value()]->free_pages_hint()};
        if (free_pages > most) {
            most = free_pages;
            best = node;
        }
    }
    return best;
}

Result<PhysAddr, AllocError> PageAllocator::take(Request const& request, NodeId node)
{
    if (nodes_[node.value()] == nullptr)
        return fail(AllocError::exhausted_node);
    DomainId const owner{request.owner != nullptr ? request.owner->domain() : kernel_owner};
    Result<PhysAddr, AllocError> const block = nodes_[node.value()]->allocate(request.order, owner);
    if (block && request.owner != nullptr)
        request.owner->charge(node, request.order.pages());
    return block;
}

void PageAllocator::free(PhysAddr block, Order order)
{
    std::optional<NodeId> const node = map_.node_of(block);
    if (!node || nodes_[node->value()] == nullptr) {
        // RAM of a node without an allocator is all reserved.
        on_misuse_({.kind = node ? MisuseKind::never_allocated : MisuseKind::no_memory,
                    .address = block,
                    .order = order,
                    .node = node ? *node : NodeId{}});
        return;
    }
    std::optional<DomainId> const owner = nodes_[node->value()]->free(block, order);
    if (!owner)
        return; // Reported.
    if (DomainAccount* const account = account_of(*owner))
        account->uncharge(*node, order.pages());
}

Status<AllocError> PageAllocator::transfer(PhysAddr block, Order order, DomainAccount* to)
{
    if (!order.is_valid())
        return fail(AllocError::order_too_large);
    if (to != nullptr && !is_attached(*to))
        return fail(AllocError::bad_request);
    std::optional<NodeId> const node = map_.node_of(block);
    if (!node || nodes_[node->value()] == nullptr) {
        free(block, order); // Reports why this is no block.
        return fail(AllocError::bad_request);
    }
    if (to != nullptr && !to->grant(order.pages()))
        return fail(AllocError::over_limit);
    DomainId const new_owner{to != nullptr ? to->domain() : kernel_owner};
    std::optional<DomainId> const before = nodes_[node->value()]->transfer(block, order, new_owner);
    if (!before) {
        if (to != nullptr)
            to->cancel(order.pages());
        return fail(AllocError::bad_request);
    }
    if (to != nullptr)
        to->charge(*node, order.pages());
    if (DomainAccount* const from = account_of(*before))
        from->uncharge(*node, order.pages());
    return done;
}

Status<AllocError> PageAllocator::attach(DomainAccount& account)
{
    if (account.domain().value() >= accounts_.size())
        return fail(AllocError::bad_request);
    DomainAccount* nobody{nullptr};
    // release: who finds the account finds it constructed. relaxed on failure: nothing is read through it.
    if (!accounts_[account.domain().value()].compare_exchange_strong(nobody, &account, std::memory_order_release,
                                                                     std::memory_order_relaxed))
        return fail(AllocError::bad_request);
    return done;
}

Status<AllocError> PageAllocator::detach(DomainAccount& account)
{
    if (!is_attached(account) || account.total() != 0)
        return fail(AllocError::bad_request);
    accounts_[account.domain().value()].store(nullptr, std::memory_order_release);
    return done;
}

bool PageAllocator::is_attached(DomainAccount const& account) const { return account_of(account.domain()) == &account; }

DomainAccount* PageAllocator::account_of(DomainId owner) const
{
    // acquire: pairs with attach().
    return owner.value() < accounts_.size() ? accounts_[owner.value()].load(std::memory_order_acquire) : nullptr;
}

} // namespace hv::mm
