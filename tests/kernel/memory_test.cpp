// The page allocator over the machine's real memory.
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/layout.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

namespace hv::test {
namespace {

mm::PageAllocator& pages() { return *boot::kernel().pages; }

Result<PhysAddr, mm::AllocError> take(mm::Policy policy, NodeId node, mm::Order order = mm::order_4k)
{
    arch::IrqSave const irqs;
    return pages().allocate({.order = order, .policy = policy, .node = node, .set = NodeMask::of(node)});
}

void give(PhysAddr block, mm::Order order = mm::order_4k)
{
    arch::IrqSave const irqs;
    pages().free(block, order);
}

bool is_consistent()
{
    arch::IrqSave const irqs;
    return pages().is_consistent();
}

// All memory of a node, as blocks that hold the list of themselves.
class Hoard {
public:
    explicit Hoard(NodeId node)
    {
        for (unsigned order = mm::Order::count; order-- > 0;)
            while (Result<PhysAddr, mm::AllocError> const block{take(mm::Policy::strict_node, node, mm::Order{order})})
                add(*block, order);
    }
    ~Hoard()
    {
        while (first_.value() != 0) {
            Link const link{*arch::direct_map<Link>(first_)};
            give(first_, mm::Order{link.order});
            first_ = link.next;
        }
    }
    Hoard(Hoard const&) = delete;
    Hoard& operator=(Hoard const&) = delete;

    [[nodiscard]] std::uint64_t page_count() const { return page_count_; }

private:
    struct Link {
        PhysAddr next;
        unsigned order;
    };

    void add(PhysAddr block, unsigned order)
    {
        *arch::direct_map<Link>(block) = {first_, order};
        first_ = block;
        page_count_ += std::uint64_t{1} << order;
    }

    PhysAddr first_;
    std::uint64_t page_count_{0};
};

} // namespace

HV_SELFTEST(memory_of_every_node_is_writable)
{
    for (NodeId const node : pages().usable()) {
        Result<PhysAddr, mm::AllocError> const small{take(mm::Policy::strict_node, node)};
        Result<PhysAddr, mm::AllocError> const large{take(mm::Policy::strict_node, node, mm::order_2m)};
        HV_CHECK(small.ok());
        HV_CHECK(pages().node_map().node_of(*small) == node);
        auto* const words = arch::direct_map<std::uint64_t volatile>(*small);
        for (std::size_t i = 0; i < 512; ++i)
            words[i] = i * 0x9E3779B97F4A7C15 + node.value();
        for (std::size_t i = 0; i < 512; ++i)
            HV_CHECK(words[i] == i * 0x9E3779B97F4A7C15 + node.value());
        if (large) {
            HV_CHECK(large->value() % mm::order_2m.bytes() == 0);
            arch::direct_map<std::uint64_t volatile>(*large)[mm::order_2m.bytes() / 8 - 1] = 1;
            give(*large, mm::order_2m);
        }
        give(*small);
    }
}

HV_SELFTEST(memory_local_allocations_stay_on_their_node)
{
    for (NodeId const node : pages().usable()) {
        std::uint64_t const before{free_pages(node)};
        Result<PhysAddr, mm::AllocError> const local{take(mm::Policy::local, node)};
        Result<PhysAddr, mm::AllocError> const preferred{take(mm::Policy::preferred, node)};
        HV_CHECK(local.ok() && pages().node_map().node_of(*local) == node);
        HV_CHECK(preferred.ok() && pages().node_map().node_of(*preferred) == node);
        HV_CHECK(free_pages(node) == before - 2);
        give(*local);
        give(*preferred);
        HV_CHECK(free_pages(node) == before);
    }
}

HV_SELFTEST(memory_exhausted_node_refuses_strict_and_spills_local)
{
    for (NodeId const node : pages().usable()) {
        mm::NodeStats const before{page_stats(node)};
        {
            Hoard const hoard{node};
            HV_CHECK(hoard.page_count() == before.free);
            HV_CHECK(free_pages(node) == 0);
            Result<PhysAddr, mm::AllocError> const strict{take(mm::Policy::strict_node, node)};
            HV_CHECK(!strict && strict.error() == mm::AllocError::exhausted_node);
            Result<PhysAddr, mm::AllocError> const local{take(mm::Policy::local, node)};
            HV_CHECK(local.ok() == (pages().usable().count() > 1));
            if (local) {
                HV_CHECK(pages().node_map().node_of(*local) != node);
                give(*local);
            }
        }
        HV_CHECK(page_stats(node) == before);
    }
    HV_CHECK(is_consistent());
}

HV_SELFTEST(memory_of_a_node_without_any_comes_from_the_nearest)
{
    bool found{false};
    for (NodeId const node : NodeMask::first_n(pages().nodes()) - pages().usable()) {
        found = true;
        Result<PhysAddr, mm::AllocError> const strict{take(mm::Policy::strict_node, node)};
        HV_CHECK(!strict && strict.error() == mm::AllocError::exhausted_node);
        Result<PhysAddr, mm::AllocError> const local{take(mm::Policy::local, node)};
        HV_CHECK(local.ok());
        NodeId const from{*pages().node_map().node_of(*local)};
        for (NodeId const other : pages().usable())
            HV_CHECK(boot::kernel().topology->distance(node, from) <= boot::kernel().topology->distance(node, other));
        give(*local);
    }
    if (!found)
        HV_SKIP("every node has memory");
}

HV_SELFTEST(memory_the_kernel_image_is_not_for_allocation)
{
    for (mm::MemoryBlock const& block : pages().node_map().blocks())
        HV_CHECK(block.length > 0);
    // The image and the first megabyte count as reserved on the node that they lie on.
    NodeId const node{*pages().node_map().node_of(PhysAddr{arch::image_base})};
    std::uint64_t const image_pages{(arch::address_of(image_end) - arch::kernel_base - arch::image_base) /
                                    arch::page_size};
    HV_CHECK(page_stats(node).reserved >= image_pages);
    HV_CHECK(is_consistent());
}

HV_SELFTEST(memory_of_vms_that_come_and_go_is_at_home_and_comes_back)
{
    constexpr unsigned rounds = 20;
    constexpr std::uint64_t vm_blocks = 8;
    static constinit mm::DomainAccount account{DomainId{4000}, vm_blocks * mm::order_2m.pages()};
    for (NodeId const node : pages().usable()) {
        mm::NodeStats const before{page_stats(node)};
        if (before.free < 4 * vm_blocks * mm::order_2m.pages())
            continue;
        for (unsigned round = 0; round < rounds; ++round) {
            arch::IrqSave const irqs;
            mm::Claim const claim{.nodes = NodeMask::of(node), .pages = account.max_pages()};
            HV_CHECK(pages().attach(account).ok());
            HV_CHECK(pages().claim(account, {&claim, 1}).ok());
            std::array<PhysAddr, vm_blocks> memory{};
            for (PhysAddr& block : memory) {
                auto const got = pages().allocate(
                    arch::this_cpu(),
                    {.order = mm::order_2m, .policy = mm::Policy::preferred, .node = node, .owner = &account});
                HV_CHECK(got.ok());
                block = *got;
                *arch::direct_map<std::uint64_t volatile>(block) = 0x5EC2E7;
            }
            HV_CHECK(account.pages_on(node) == account.max_pages() && account.claimed() == 0);
            pages().begin_destruction(account);
            for (PhysAddr const block : memory)
                pages().free(arch::this_cpu(), block, mm::order_2m);
            HV_CHECK(pages().detach(account).ok());
            while (pages().scrub_some(node, mm::order_2m.pages()) > 0) {}
            for (PhysAddr const block : memory)
                HV_CHECK(*arch::direct_map<std::uint64_t volatile>(block) != 0x5EC2E7);
        }
        HV_CHECK(page_stats(node) == before);
    }
    HV_CHECK(is_consistent());
}

} // namespace hv::test
