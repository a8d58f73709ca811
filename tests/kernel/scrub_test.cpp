// Zeroing what dead domains left, by idle pCPUs: who does it, and how long interrupts wait meanwhile.
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/layout.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/cost.hpp"
#include "tests/kernel/support.hpp"

namespace hv::test {
namespace {

constexpr DomainId doomed{4001};
constexpr Duration most_late{Duration::from_us(50)};

std::uint64_t dirty_pages(NodeId node)
{
    arch::IrqSave const irqs;
    return pages().stats(node).dirty;
}

// What the last one left in each of its large blocks, behind the links that free blocks begin with.
constinit std::array<PhysAddr, 16> taken{};
std::uint64_t volatile& secret_in(PhysAddr block) { return arch::direct_map<std::uint64_t volatile>(block)[256]; }

// A domain with `blocks` of 2 MiB and one single page of a node lives and dies; says how many pages it leaves.
std::uint64_t leave_dirt(NodeId node, unsigned blocks)
{
    arch::IrqSave const irqs;
    mm::DomainAccount account{doomed};
    if (blocks > taken.size() || !pages().attach(account))
        return 0;
    unsigned got{0};
    auto const take = [&](mm::Order order) {
        auto const block =
            pages().allocate({.order = order, .policy = mm::Policy::strict_node, .node = node, .owner = &account});
        if (block)
            secret_in(*block) = 0x5EC2E7;
        return block;
    };
    while (got < blocks) {
        auto const block = take(mm::order_2m);
        if (!block)
            break;
        taken[got++] = *block;
    }
    auto const single = take(mm::order_4k);
    std::uint64_t const total{account.total()};
    pages().begin_destruction(account);
    while (got > 0)
        pages().free(taken[--got], mm::order_2m);
    if (single)
        pages().free(*single, mm::order_4k);
    return pages().detach(account) ? total : 0;
}

// Another pCPU of this one's node, or this one if it is alone there; and one of another node, if there is any.
struct Neighbours {
    CpuId near{arch::this_cpu()};
    std::optional<CpuId> far;

    Neighbours()
    {
        for (CpuId::Rep cpu = 0; cpu < pcpus_up(); ++cpu) {
            if (arch::percpu(CpuId{cpu}).node != arch::this_percpu().node)
                far = CpuId{cpu};
            else if (CpuId{cpu} != arch::this_cpu())
                near = CpuId{cpu};
        }
    }
};

// Fires every 20 us, and knows how late.
struct Alarm {
    static constexpr TimerId id{7};
    static constexpr Duration period{Duration::from_us(20)};
    Instant due;
    Duration latest{};
    unsigned count{0};

    void arm()
    {
        due = arch::clock_now() + period;
        arch::timer_arm(arch::this_cpu(), id, due);
    }
    static void fired(void* self, CpuId, TimerId timer, Instant now)
    {
        Alarm& alarm{*static_cast<Alarm*>(self)};
        if (timer != id)
            return;
        Duration const late{now - alarm.due};
        alarm.latest = late > alarm.latest ? late : alarm.latest;
        ++alarm.count;
        alarm.arm();
    }
};

} // namespace

HV_SELFTEST(scrub_is_done_by_idle_pcpus_of_the_node_alone)
{
    NodeId const node{arch::this_percpu().node};
    Neighbours const neighbours;
    std::uint64_t const left{leave_dirt(node, 2)};
    if (left <= 2 * mm::order_2m.pages())
        HV_SKIP("this node has no memory to spare");
    // With real threads a pCPU of this node may still be on its way into the halt, from an earlier test.
    bool const all_halt{counts_instructions()};
    HV_CHECK(!all_halt || (dirty_pages(node) == left && secret_in(taken[0]) != 0));
    auto const wake = [](CpuId cpu) {
        unsigned const halts{4};
        for (unsigned i = 0; i < halts; ++i) {
            arch::ask_to_reschedule(cpu);
            static_cast<void>(wait_until([] { return false; }, Duration::from_ms(1)));
        }
    };
    if (neighbours.far) {
        wake(*neighbours.far);
        HV_CHECK(!all_halt || dirty_pages(node) == left);
    }
    if (neighbours.near != arch::this_cpu())
        wake(neighbours.near);
    else
        while (dirty_pages(node) > 0)
            arch::idle_once();
    HV_CHECK(wait_until([&] { return dirty_pages(node) == 0; }));
    arch::IrqSave const irqs;
    HV_CHECK(secret_in(taken[0]) == 0 && secret_in(taken[1]) == 0);
    HV_CHECK(pages().is_consistent());
}

HV_SELFTEST(scrub_lets_interrupts_through_within_50_us)
{
    NodeId const node{arch::this_percpu().node};
    Alarm alarm;
    arch::UpCalls const calls{.self = &alarm, .timer = Alarm::fired};
    UpCallsScope const scope{calls};
    std::uint64_t const left{leave_dirt(node, 8)};
    if (left == 0)
        HV_SKIP("this node has no memory to spare");
    {
        arch::IrqSave const irqs;
        alarm.arm();
    }
    while (dirty_pages(node) > 0)
        arch::idle_once();
    arch::timer_disarm(arch::this_cpu(), Alarm::id);
    HV_CHECK(alarm.count > 0);
    if (!counts_instructions())
        HV_SKIP("only the instruction counter (khz=1000000) tells how late an interrupt is");
    arch::say("# scrub: {} pages, interrupts at most {} ns late of {}", left, alarm.latest.ns(), alarm.count);
    HV_CHECK(alarm.latest <= most_late);
}

} // namespace hv::test
