#include "mm/domain_memory.hpp"

namespace hv::mm {

namespace {

class Builder {
public:
    Builder(PageAllocator& pages, DomainAccount& account, DomainMemory const& wanted)
        : pages_{pages}, account_{account}, wanted_{wanted}, next_{*wanted.home.first()}
    {
    }

    Status<MemoryShortage> build()
    {
        if (Status<AllocError> const promised = promise(); !promised)
            return fail(MemoryShortage{.why = promised.error(), .missing = missing_now()});
        while (account_.total() < wanted_.pages)
            if (Block const block = take(); !block)
                return fail(MemoryShortage{.why = block.error(), .missing = wanted_.pages - account_.total()});
        // What was promised elsewhere, for the case that home would not do.
        pages_.unclaim_all(account_);
        return done;
    }

private:
    using Block = Result<PhysAddr, AllocError>;

    // At home; else, unless the domain is strict, on the whole machine.
    Status<AllocError> promise()
    {
        Claim const home{.nodes = wanted_.home, .pages = wanted_.pages};
        Status<AllocError> promised = pages_.claim(account_, {&home, 1});
        if (promised || wanted_.is_strict || promised.error() != AllocError::exhausted_set)
            return promised;
        Claim const anywhere{.nodes = NodeMask::first_n(pages_.nodes()), .pages = wanted_.pages};
        promised = pages_.claim(account_, {&anywhere, 1});
        if (!promised && promised.error() == AllocError::exhausted_set)
            return fail(AllocError::exhausted);
        return promised;
    }

    // By what is free this instant.
    std::uint64_t missing_now() const
    {
        std::uint64_t room{0};
        for (NodeId const node : wanted_.is_strict ? wanted_.home : NodeMask::first_n(pages_.nodes())) {
            NodeStats const stats{pages_.stats(node)};
            std::uint64_t const has{stats.free + stats.cached};
            room += has > stats.claimed ? has - stats.claimed : 0;
        }
        return room < wanted_.pages ? wanted_.pages - room : 0;
    }

    Block take()
    {
        bool const is_large = wanted_.pages - account_.total() >= order_2m.pages();
        if (is_large)
            if (Block const block = take_at_home(order_2m); block)
                return block;
        Block block = take_at_home(order_4k);
        if (block || wanted_.is_strict)
            return block;
        if (is_large)
            if (block = take_anywhere(order_2m); block)
                return block;
        return take_anywhere(order_4k);
    }
    Block take_at_home(Order order)
    {
        Block block{fail(AllocError::exhausted_set)};
        for (unsigned tries = 0; tries < wanted_.home.count() && !block; ++tries) {
            NodeId const node{next_};
            next_ = wanted_.home.cycle(node);
            block = pages_.allocate({.order = order, .policy = Policy::strict_node, .node = node, .owner = &account_});
        }
        return block;
    }
    Block take_anywhere(Order order)
    {
        return pages_.allocate({.order = order,
                                .policy = wanted_.spreads ? Policy::interleave : Policy::preferred,
                                .node = *wanted_.home.first(),
                                .set = wanted_.home,
                                .owner = &account_});
    }

    PageAllocator& pages_;
    DomainAccount& account_;
    DomainMemory const& wanted_;
    NodeId next_; // whose turn it is
};

} // namespace

Status<MemoryShortage> build_memory(PageAllocator& pages, DomainAccount& account, DomainMemory const& wanted)
{
    if (wanted.home.empty())
        return fail(MemoryShortage{.why = AllocError::bad_request, .missing = wanted.pages});
    if (Status<AllocError> const attached = pages.attach(account); !attached)
        return fail(MemoryShortage{.why = attached.error(), .missing = wanted.pages});
    Status<MemoryShortage> const built = Builder{pages, account, wanted}.build();
    if (!built)
        dismantle_memory(pages, account);
    return built;
}

void dismantle_memory(PageAllocator& pages, DomainAccount& account)
{
    pages.begin_destruction(account);
    pages.reclaim(account);
    bool const is_gone = pages.detach(account).ok();
    HV_ASSERT(is_gone);
}

} // namespace hv::mm
