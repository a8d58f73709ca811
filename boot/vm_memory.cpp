#include "boot/vm_memory.hpp"

#include "arch/x86_64/small_memory.hpp"
#include "boot/refuse.hpp"
#include "mm/domain_memory.hpp"

#include <new>

namespace hv::boot {
namespace {

using scenario::DomainRecord;
using scenario::MemoryPolicy;
using scenario::ScenarioView;

template <typename T>
[[nodiscard]] T* raw_memory(std::size_t count)
{
    return static_cast<T*>(arch::allocate_memory(NodeId{0}, (count > 0 ? count : 1) * sizeof(T), alignof(T)));
}
// Null is nothing to free.
template <typename T>
void free_memory(T* memory, std::size_t count)
{
    if (memory != nullptr)
        arch::release_memory(memory, (count > 0 ? count : 1) * sizeof(T), alignof(T));
}

// The first `built` of `count` have their memory.
void take_memory_from_vms(mm::PageAllocator& pages, mm::DomainAccount** accounts, std::size_t built, std::size_t count)
{
    for (std::size_t i = 0; i < built; ++i) {
        mm::dismantle_memory(pages, *accounts[i]);
        free_memory(accounts[i], 1);
    }
    free_memory(accounts, count);
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
    free_memory(planner, 1);
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
        std::uint64_t const wanted{record.memory_mib * pages_per_mib};
        auto* const memory = raw_memory<mm::DomainAccount>(1);
        auto const failed = [&](mm::MemoryShortage shortage) {
            free_memory(memory, 1);
            take_memory_from_vms(pages, accounts, i, count);
            return fail(VmMemoryError{ScenarioView::text(record.name), name_of(shortage.why),
                                      (shortage.missing + pages_per_mib - 1) / pages_per_mib});
        };
        if (accounts == nullptr || memory == nullptr)
            return failed({.why = mm::AllocError::exhausted, .missing = wanted});
        accounts[i] = ::new (memory) mm::DomainAccount{DomainId{record.id}, wanted};
        bool const spreads{record.memory_policy == MemoryPolicy::interleave || homes[i].nodes.count() > 1};
        auto const built = mm::build_memory(pages, *accounts[i],
                                            {.home = homes[i].nodes,
                                             .pages = wanted,
                                             .is_strict = record.memory_policy == MemoryPolicy::strict,
                                             .spreads = spreads});
        if (!built)
            return failed(built.error());
    }
    return VmAccounts{accounts, count};
}

} // namespace hv::boot
