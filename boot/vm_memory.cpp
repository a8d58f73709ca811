#include "boot/vm_memory.hpp"

#include "arch/x86_64/small_memory.hpp"
#include "boot/refuse.hpp"

#include <new>

namespace hv::boot {
namespace {

using scenario::DomainRecord;
using scenario::MemoryPolicy;
using scenario::ScenarioView;

constexpr std::uint64_t pages_per_mib = (std::uint64_t{1} << 20) / mm::page_size;

// Where a VM's blocks come from: from its home nodes in turn, large ones before small ones; then, unless it is strict,
// from wherever there is room. What is left on a home in splinters is used before anything elsewhere is.
class Source {
public:
    Source(mm::PageAllocator& pages, NodeMask home, DomainRecord const& record, mm::DomainAccount& account)
        : pages_{pages}, home_{home}, next_{*home.first()}, account_{account}
    {
        is_strict_ = record.memory_policy == MemoryPolicy::strict;
        spreads_ = record.memory_policy == MemoryPolicy::interleave || home.count() > 1;
    }

    Status<mm::AllocError> populate(std::uint64_t count)
    {
        while (count > 0) {
            Order order{count >= mm::order_2m.pages() ? mm::order_2m : mm::order_4k};
            if (auto const block = take(order); !block)
                return fail(block.error());
            count -= order.pages();
        }
        return done;
    }

private:
    using Order = mm::Order;
    using Block = Result<PhysAddr, mm::AllocError>;

    // `order` becomes what it was.
    Block take(Order& order)
    {
        for (bool const at_home : {true, false}) {
            if (!at_home && is_strict_)
                break;
            if (Block const block = at_home ? take_at_home(order) : take_anywhere(order); block)
                return block;
            if (order == mm::order_4k)
                continue;
            if (Block const block = at_home ? take_at_home(mm::order_4k) : take_anywhere(mm::order_4k); block) {
                order = mm::order_4k;
                return block;
            }
        }
        return fail(mm::AllocError::exhausted);
    }
    Block take_at_home(Order order)
    {
        for (unsigned tries = 0; tries < home_.count(); ++tries) {
            NodeId const node{next_};
            std::optional<NodeId> const following{home_.next(node)};
            next_ = following ? *following : *home_.first();
            Block const block{pages_.allocate(
                {.order = order, .policy = mm::Policy::strict_node, .node = node, .set = home_, .owner = &account_})};
            if (block)
                return block;
        }
        return fail(mm::AllocError::exhausted);
    }
    Block take_anywhere(Order order)
    {
        return pages_.allocate({.order = order,
                                .policy = spreads_ ? mm::Policy::interleave : mm::Policy::preferred,
                                .node = *home_.first(),
                                .set = home_,
                                .owner = &account_});
    }

    mm::PageAllocator& pages_;
    NodeMask home_;
    NodeId next_; // whose turn it is
    mm::DomainAccount& account_;
    bool is_strict_{false};
    bool spreads_{false};
};

template <typename T>
[[nodiscard]] T* raw_memory(std::size_t count)
{
    return static_cast<T*>(arch::allocate_memory(NodeId{0}, (count > 0 ? count : 1) * sizeof(T), alignof(T)));
}

} // namespace

void describe(VmMemoryError const& error, Sink& sink)
{
    print(sink, "scenario: VM \"{}\": {}, {} MiB are missing; give it less memory, or its nodes more", error.domain,
          error.reason, error.missing_mib);
}

std::span<scenario::Home const> find_homes(ScenarioView scenario)
{
    std::size_t const count{scenario.domains().size()};
    auto* const planner = raw_memory<scenario::HomePlanner>(1);
    auto* const homes = raw_memory<scenario::Home>(count);
    if (planner == nullptr || homes == nullptr)
        refuse("scenario: no memory to place {} VMs; give node 0 more", count);
    if (auto const planned = scenario::plan_homes(scenario, *planner, {homes, count}); !planned)
        refuse_because(planned.error());
    arch::release_memory(planner, sizeof *planner, alignof(scenario::HomePlanner));
    for (std::size_t i = 0; i < count; ++i)
        if (auto const notice = scenario::notice_of(scenario, scenario.domains()[i], homes[i])) {
            arch::Line line{arch::Output::console};
            line.sink().write("warning: ");
            scenario::describe(*notice, line.sink());
        }
    return {homes, count};
}

Result<VmAccounts, VmMemoryError> give_memory_to_vms(mm::PageAllocator& pages, ScenarioView scenario,
                                                     std::span<scenario::Home const> homes)
{
    std::size_t const count{scenario.domains().size()};
    auto** const accounts = raw_memory<mm::DomainAccount*>(count);
    for (std::size_t i = 0; i < count; ++i) {
        DomainRecord const& record{scenario.domains()[i]};
        std::string_view const name{ScenarioView::text(record.name)};
        std::uint64_t const wanted{record.memory_mib * pages_per_mib};
        auto* const memory = raw_memory<mm::DomainAccount>(1);
        if (accounts == nullptr || memory == nullptr)
            return fail(VmMemoryError{name, name_of(mm::AllocError::exhausted), record.memory_mib});
        accounts[i] = ::new (memory) mm::DomainAccount{DomainId{record.id}, wanted};
        Status<mm::AllocError> outcome{pages.attach(*accounts[i])};
        if (outcome)
            outcome = Source{pages, homes[i].nodes, record, *accounts[i]}.populate(wanted);
        if (!outcome)
            return fail(VmMemoryError{name, name_of(outcome.error()), (wanted - accounts[i]->total()) / pages_per_mib});
    }
    return VmAccounts{accounts, count};
}

} // namespace hv::boot
