// What a page costs in the kernel, in instructions: docs/memory.md has the bars. They are for builds without
// assertions, and what is served by a cache is inline here.
#define HV_NO_ASSERT
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/layout.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/cost.hpp"
#include "tests/kernel/support.hpp"

namespace hv::test {
namespace {

constexpr std::uint64_t most_for_page = 80;
constexpr std::uint64_t most_for_2m = 250;
constexpr std::uint64_t most_for_refill = 40;

// Allocation and free are inline as far as the cache goes, so there is no call to leave out.
template <unsigned value>
[[gnu::noinline]] std::uint64_t cost_of_pair(mm::PageAllocator& pages, mm::DomainAccount* owner)
{
    CpuId const self{arch::this_cpu()};
    NodeId const node{arch::this_percpu().node};
    auto const pair = [=, &pages]() __attribute__((always_inline)) {
        Result<PhysAddr, mm::AllocError> const block{
            pages.allocate(self, {.order = mm::Order{value}, .node = node, .owner = owner})};
        pages.free(self, *block, mm::Order{value});
    };
    pair(); // From now on the cache has one.
    return cost_of(pair);
}

// Of one page of many, beyond what it costs to take it from the cache, which is half of a pair.
std::uint64_t cost_of_refill(mm::PageAllocator& pages, mm::DomainAccount& account, std::uint64_t pair)
{
    static constinit std::array<PhysAddr, 512> taken{};
    CpuId const self{arch::this_cpu()};
    NodeId const node{arch::this_percpu().node};
    pages.drain_caches();
    std::uint64_t const start{arch::read_tsc()};
    for (PhysAddr& block : taken)
        block = *pages.allocate(self, {.node = node, .owner = &account});
    std::uint64_t const all{(arch::read_tsc() - start) / taken.size()};
    for (PhysAddr const block : taken)
        pages.free(self, block, mm::order_4k);
    return all > pair / 2 ? all - pair / 2 : 0;
}

} // namespace

HV_SELFTEST(memory_costs_few_instructions)
{
    if (!counts_instructions())
        HV_SKIP("only the instruction counter (khz=1000000) tells instructions");
    if (mm::is_debug)
        HV_SKIP("debug builds check more");
    mm::PageAllocator& pages{*boot::kernel().pages};
    if (!pages.usable().test(arch::this_percpu().node))
        HV_SKIP("this node has no memory");
    // With less, caches keep few blocks of 2 MiB, or none, and the lists are what is measured.
    if (pages.stats(arch::this_percpu().node).present < (std::uint64_t{256} << 20) / mm::page_size)
        HV_SKIP("this node has less than 256 MiB");
    static constinit mm::DomainAccount account{DomainId{4000}};
    arch::IrqSave const irqs;
    HV_CHECK(pages.attach(account).ok());
    std::uint64_t const domains{cost_of_pair<0>(pages, &account)};
    std::uint64_t const kernels{cost_of_pair<0>(pages, nullptr)};
    std::uint64_t const large{cost_of_pair<9>(pages, &account)};
    std::uint64_t const refill{cost_of_refill(pages, account, domains)};
    HV_CHECK(pages.detach(account).ok());
    arch::say("# memory: instructions of 4 KiB alloc + free {}, the kernel's {}, of 2 MiB {}, of a refilled page {}",
              domains, kernels, large, refill);
    HV_CHECK(domains <= most_for_page && kernels <= most_for_page);
    HV_CHECK(large <= most_for_2m);
    HV_CHECK(refill <= most_for_refill);
}

} // namespace hv::test
