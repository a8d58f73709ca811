// The page allocator over the machine's real memory.
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/layout.hpp"
#include "boot/selftest.hpp"
#include "mm/domain_memory.hpp"
#include "tests/kernel/support.hpp"

namespace hv::test {
namespace {

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

// The books of all nodes, caches empty: too large for a stack.
constinit std::array<mm::NodeStats, NodeMask::capacity> remembered{};

bool scrub_a_little(NodeId node)
{
    arch::IrqSave const irqs;
    return pages().scrub_some(node, 64) > 0;
}

// Also what an idle pCPU is zeroing: a page of its is dirty until it is done. Halted meanwhile: on a crowded host two
// who want the node's lock for each few pages give it to each other once in a time slice of the host.
void scrub_everything()
{
    for (NodeId const node : pages().usable()) {
        do
            while (scrub_a_little(node)) {}
        while (!wait_until([node] { return page_stats(node).dirty == 0; }, Duration::from_ms(10)));
    }
}

void remember_books()
{
    scrub_everything(); // an earlier test's
    for (NodeId const node : pages().usable())
        remembered[node.value()] = page_stats(node);
}
bool books_are_as_remembered()
{
    for (NodeId const node : pages().usable())
        if (!(remembered[node.value()] == page_stats(node)))
            return false;
    return true;
}

constinit mm::DomainAccount vm_accounts[10]{mm::DomainAccount{DomainId{4010}}, mm::DomainAccount{DomainId{4011}},
                                            mm::DomainAccount{DomainId{4012}}, mm::DomainAccount{DomainId{4013}},
                                            mm::DomainAccount{DomainId{4014}}, mm::DomainAccount{DomainId{4015}},
                                            mm::DomainAccount{DomainId{4016}}, mm::DomainAccount{DomainId{4017}},
                                            mm::DomainAccount{DomainId{4018}}, mm::DomainAccount{DomainId{4019}}};

// Ten VMs at a time, on the nodes that have room for all of them, in turn.
class Vms {
public:
    static constexpr std::uint64_t vm_pages = 2 * mm::order_2m.pages() + 1;

    Vms()
    {
        for (NodeId const node : pages().usable())
            if (page_stats(node).free >= 2 * std::size(vm_accounts) * vm_pages)
                homes_.set(node);
    }
    [[nodiscard]] bool have_room() const { return !homes_.empty(); }

    // False unless all are at home, and what they claimed used up.
    [[nodiscard]] bool build() const
    {
        NodeId home{*homes_.first()};
        for (mm::DomainAccount& vm : vm_accounts) {
            arch::IrqSave const irqs;
            if (!mm::build_memory(pages(), vm, {.home = NodeMask::of(home), .pages = vm_pages}) ||
                vm.pages_on(home) != vm_pages || vm.total() != vm_pages || vm.claimed() != 0)
                return false;
            home = homes_.cycle(home);
        }
        return true;
    }
    void destroy() const
    {
        for (mm::DomainAccount& vm : vm_accounts) {
            arch::IrqSave const irqs;
            mm::dismantle_memory(pages(), vm);
        }
    }

private:
    NodeMask homes_;
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
        mm::NodeStats before{page_stats(node)};
        before.dirty = 0; // who takes a dirty page zeroes it
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
    Vms const vms;
    if (!vms.have_room())
        HV_SKIP("no node has room for ten VMs");
    remember_books();
    for (unsigned round = 0; round < rounds; ++round) {
        HV_CHECK(vms.build());
        HV_CHECK(is_consistent());
        vms.destroy();
        scrub_everything();
        HV_CHECK(books_are_as_remembered());
    }
    HV_CHECK(is_consistent());
}

HV_SELFTEST(memory_failures_while_a_vm_is_built_are_errors_and_leak_nothing)
{
    NodeId const home{*pages().usable().first()};
    constexpr std::uint64_t vm_pages = 2 * mm::order_2m.pages() + 1;
    if (page_stats(home).free < 4 * vm_pages)
        HV_SKIP("the first node has no room for a VM");
    remember_books();
    mm::DomainAccount vm{DomainId{4000}};
    unsigned sites{0};
    for (bool is_built = false; !is_built; ++sites) {
        {
            arch::IrqSave const irqs;
            pages().injection().fail_from(sites + 1);
            auto const built = mm::build_memory(pages(), vm, {.home = NodeMask::of(home), .pages = vm_pages});
            pages().injection().turn_off();
            is_built = built.ok();
            if (is_built)
                mm::dismantle_memory(pages(), vm);
            else
                HV_CHECK(built.error().why == mm::AllocError::exhausted && vm.total() == 0);
        }
        scrub_everything();
        HV_CHECK(books_are_as_remembered());
    }
    HV_CHECK(sites == 1 + 3 + 1); // the promise, two large blocks and a page; and the time when nothing failed
    HV_CHECK(is_consistent());
}

} // namespace hv::test
