#include "boot/vm_memory.hpp"

#include "arch/x86_64/small_memory.hpp"

#include <new>

namespace hv::boot {
namespace {

using scenario::DomainRecord;
using scenario::MemoryPolicy;
using scenario::ScenarioView;

constexpr std::uint64_t pages_per_mib = (std::uint64_t{1} << 20) / mm::page_size;

// Where a domain that names no nodes has its home: the nodes it is said to prefer, else where its first vCPU starts.
NodeMask home_of(ScenarioView scenario, DomainRecord const& record)
{
    if (auto const named = ScenarioView::memory_nodes(record))
        return *named;
    if (auto const preferred = ScenarioView::preferred_nodes(record))
        return *preferred;
    CpuId const first{scenario.vcpus(record).front().initial_pcpu};
    return NodeMask::of(NodeId{static_cast<NodeId::Rep>(scenario.pcpus()[first.value()].node)});
}

mm::Request request_for(ScenarioView scenario, DomainRecord const& record, mm::DomainAccount& account)
{
    NodeMask const home{home_of(scenario, record)};
    mm::Request request{.policy = mm::Policy::preferred, .node = *home.first(), .set = home, .owner = &account};
    if (record.memory_policy == MemoryPolicy::strict)
        request.policy = mm::Policy::strict_set;
    if (record.memory_policy == MemoryPolicy::interleave || home.count() > 1)
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
    return static_cast<T*>(arch::allocate_memory(NodeId{0}, count * sizeof(T), alignof(T)));
}

} // namespace

void describe(VmMemoryError const& error, Sink& sink)
{
    print(sink, "scenario: VM \"{}\": {}, {} MiB are missing; give it less memory, or its nodes more", error.domain,
          error.reason, error.missing_mib);
}

Result<VmAccounts, VmMemoryError> give_memory_to_vms(mm::PageAllocator& pages, ScenarioView scenario)
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
            outcome = populate(pages, request_for(scenario, record, *accounts[i]), wanted);
        if (!outcome)
            return fail(VmMemoryError{name, name_of(outcome.error()), (wanted - accounts[i]->total()) / pages_per_mib});
    }
    return VmAccounts{accounts, count};
}

} // namespace hv::boot
