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

mm::Request request_for(NodeMask home, DomainRecord const& record, mm::DomainAccount& account)
{
    mm::Request request{.policy = mm::Policy::preferred, .node = *home.first(), .set = home, .owner = &account};
    if (record.memory_policy == MemoryPolicy::strict)
        request.policy = mm::Policy::strict_set;
    else if (record.memory_policy == MemoryPolicy::interleave || home.count() > 1)
        request.policy = mm::Policy::interleave;
    return request;
}

Status<mm::AllocError> populate(mm::PageAllocator& pages, mm::Request request, std::uint64_t count)
{
    while (count > 0) {
        request.order = count >= mm::order_2m.pages() ? mm::order_2m : mm::order_4k;
        auto block = pages.allocate(request);
        if (!block && request.order != mm::order_4k) {
            request.order = mm::order_4k; // Splintered, but perhaps not exhausted.
            block = pages.allocate(request);
        }
        if (!block)
            return fail(block.error());
        count -= request.order.pages();
    }
    return done;
}

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
            outcome = populate(pages, request_for(homes[i].nodes, record, *accounts[i]), wanted);
        if (!outcome)
            return fail(VmMemoryError{name, name_of(outcome.error()), (wanted - accounts[i]->total()) / pages_per_mib});
    }
    return VmAccounts{accounts, count};
}

} // namespace hv::boot
