// Meant for ThreadSanitizer: four threads on two nodes. What they write into their blocks is plain data, so two owners
// of one page, or a page given back before its owner was done with it, is a race or a wrong value. Loops count what has
// been done together, not attempts: a thread that finishes before the others begin proves nothing.
#include "mm/page_allocator.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <thread>

namespace hv::mm {
namespace {

using test::domain;
using test::MiB;
using test::node;
using test::set_of;
using test::TestMachine;

constexpr unsigned thread_count = 4;
constexpr std::size_t mailboxes = 16;

// A block on its way to whoever frees it; 0: none. The order travels in the low bits of the address.
class Mailbox {
public:
    // acq_rel: the content of the block goes with it.
    [[nodiscard]] std::uint64_t swap(std::uint64_t parcel)
    {
        return parcel_.exchange(parcel, std::memory_order_acq_rel);
    }

private:
    std::atomic<std::uint64_t> parcel_{0};
};

struct Shared {
    TestMachine machine{TestMachine::even(2, 4 * MiB), 2};
    PageAllocator& pages{machine.pages()};
    std::array<DomainAccount, 2> accounts{DomainAccount{domain(1)}, DomainAccount{domain(2), 700}};
    std::array<Mailbox, mailboxes> mail;
    // Relaxed throughout, so that they cannot order what the locks fail to order.
    std::atomic<int> freed_for_others{0};
    std::atomic<int> refused{0};
    std::atomic<bool> has_failed{false};

    [[nodiscard]] std::uint64_t& word(PhysAddr block, Order order, bool last)
    {
        return *machine.map().at<std::uint64_t>(PhysAddr{block.value() + (last ? order.bytes() - 8 : 2048)});
    }
};

void send(Shared& shared, std::uint64_t parcel, std::size_t box)
{
    std::uint64_t const other{shared.mail[box].swap(parcel)};
    if (other == 0)
        return;
    PhysAddr const block{round_down(other, page_size)};
    Order const order{static_cast<unsigned>(other % page_size)};
    for (bool const last : {false, true}) {
        if (shared.word(block, order, last) != other)
            shared.has_failed.store(true, std::memory_order_relaxed);
        shared.word(block, order, last) = 0;
    }
    shared.pages.free(block, order);
    shared.freed_for_others.fetch_add(1, std::memory_order_relaxed);
}

void work(Shared& shared, unsigned self, int goal)
{
    std::mt19937 random{self};
    while (shared.freed_for_others.load(std::memory_order_relaxed) < goal &&
           !shared.has_failed.load(std::memory_order_relaxed)) {
        Order const order{static_cast<unsigned>(random() % 4 == 0 ? random() % 6 : 0)};
        DomainAccount* const owner{
            std::array<DomainAccount*, 3>{nullptr, &shared.accounts[0], &shared.accounts[1]}[random() % 3]};
        Result<PhysAddr, AllocError> const got = shared.pages.allocate({.order = order,
                                                                        .policy = static_cast<Policy>(random() % 5),
                                                                        .node = node(random() % 2),
                                                                        .set = set_of({0, 1}),
                                                                        .owner = owner});
        if (!got) {
            shared.refused.fetch_add(1, std::memory_order_relaxed);
            send(shared, 0, random() % mailboxes);
            continue;
        }
        std::uint64_t const parcel{got->value() | order.value()};
        shared.word(*got, order, false) = parcel;
        shared.word(*got, order, true) = parcel;
        send(shared, parcel, random() % mailboxes);
    }
}

TEST(PageAllocatorStress, FourThreadsOnTwoNodesNeverShareAPageNorLoseOne)
{
    constexpr int goal = 100'000;
    Shared shared;
    NodeStats const before[]{shared.pages.stats(node(0)), shared.pages.stats(node(1))};
    for (DomainAccount& account : shared.accounts)
        ASSERT_TRUE(shared.pages.attach(account).ok());

    std::vector<std::thread> threads;
    for (unsigned self = 0; self < thread_count; ++self)
        threads.emplace_back([&shared, self] { work(shared, self, goal); });
    for (std::thread& thread : threads)
        thread.join();

    EXPECT_FALSE(shared.has_failed.load());
    EXPECT_GE(shared.freed_for_others.load(), goal);
    EXPECT_TRUE(shared.pages.is_consistent());
    for (std::size_t box = 0; box < mailboxes; ++box)
        send(shared, 0, box);
    EXPECT_TRUE(shared.pages.is_consistent());
    for (unsigned n = 0; n < 2; ++n)
        EXPECT_EQ(shared.pages.stats(node(n)), before[n]);
    for (DomainAccount const& account : shared.accounts)
        EXPECT_EQ(account.total(), 0u);
    EXPECT_TRUE(test::misuse().empty());
}

// Eight pCPUs on four nodes, through their caches: every fourth block belongs to a domain that dies and comes again,
// whose builder claims memory first and whose pages are zeroed by whoever is idle. Nobody ever sees its secret.
class Mortals {
public:
    static constexpr unsigned pcpus = 8;
    static constexpr unsigned node_count = 4;
    static constexpr std::uint64_t secret = 0x5EC2E75EC2E7;

    Mortals()
    {
        std::array<NodeId, pcpus> node_of;
        for (unsigned cpu = 0; cpu < pcpus; ++cpu)
            node_of[cpu] = node(cpu % node_count);
        EXPECT_TRUE(pages.create_caches(node_of).ok());
        for (unsigned n = 0; n < node_count; ++n)
            before[n] = pages.stats(node(n));
    }

    void live(unsigned self, int goal)
    {
        std::mt19937 random{self};
        CpuId const cpu{static_cast<CpuId::Rep>(self)};
        std::vector<PhysAddr> kernels;
        while (deaths.load(std::memory_order_relaxed) < goal && !has_failed.load(std::memory_order_relaxed)) {
            DomainAccount account{domain(self + 1)};
            std::vector<std::pair<PhysAddr, Order>> mine;
            Claim const claim{.nodes = set_of({self % node_count, static_cast<unsigned>(random() % node_count)}),
                              .pages = random() % 900};
            if (!pages.attach(account) || !pages.claim(account, {&claim, 1}))
                refused.fetch_add(1, std::memory_order_relaxed);
            for (unsigned i = 0; i < 60; ++i) {
                take(cpu, random, &account, mine);
                take_for_the_kernel(cpu, random, kernels);
            }
            pages.begin_destruction(account);
            for (auto const& [block, order] : mine)
                pages.free(cpu, block, order);
            if (account.total() != 0 || !pages.detach(account))
                has_failed.store(true, std::memory_order_relaxed);
            static_cast<void>(pages.scrub_some(node(self % node_count), random() % 64));
            deaths.fetch_add(1, std::memory_order_relaxed);
        }
        for (PhysAddr const page : kernels)
            pages.free(cpu, page, order_4k);
    }

    TestMachine machine{TestMachine::even(node_count, 16 * MiB), node_count};
    PageAllocator& pages{machine.pages()};
    std::array<NodeStats, node_count> before;
    std::atomic<int> deaths{0};
    std::atomic<int> refused{0};
    std::atomic<bool> has_failed{false};
    std::vector<std::atomic<bool>> is_offline{std::vector<std::atomic<bool>>(node_count * 16 * MiB / page_size)};

private:
    void take(CpuId cpu, std::mt19937& random, DomainAccount* owner, std::vector<std::pair<PhysAddr, Order>>& mine)
    {
        Order const order{random() % 32 == 0 ? 9u : random() % 8 == 0 ? static_cast<unsigned>(random() % 5) : 0u};
        Request const request{.order = order,
                              .policy = static_cast<Policy>(random() % 5),
                              .node = node(random() % 3 == 0 ? random() % node_count : cpu.value() % node_count),
                              .set = set_of({0, 1, 2, 3}),
                              .owner = owner};
        Result<PhysAddr, AllocError> const got = pages.allocate(cpu, request);
        if (!got)
            return;
        check(*got, order);
        mine.emplace_back(*got, order);
        *machine.map().at<std::uint64_t>(PhysAddr{got->value() + 2048}) = secret;
        *machine.map().at<std::uint64_t>(PhysAddr{got->value() + order.bytes() - 8}) = secret;
    }
    void take_for_the_kernel(CpuId cpu, std::mt19937& random, std::vector<PhysAddr>& kernels)
    {
        if (random() % 2 == 0 && !kernels.empty()) {
            std::swap(kernels[random() % kernels.size()], kernels.back());
            pages.free(cpu, kernels.back(), order_4k);
            kernels.pop_back();
            return;
        }
        Result<PhysAddr, AllocError> const got = pages.allocate(cpu, {.node = node(cpu.value() % node_count)});
        if (!got)
            return;
        check(*got, order_4k);
        *machine.map().at<std::uint64_t>(PhysAddr{got->value() + 2048}) = cpu.value();
        kernels.push_back(*got);
    }
    void check(PhysAddr block, Order order)
    {
        for (std::uint64_t page = 0; page < order.pages(); ++page)
            if (is_offline[pfn_of(block).value() + page].load(std::memory_order_relaxed))
                has_failed.store(true, std::memory_order_relaxed);
        for (std::uint64_t at = 2048; at < order.bytes(); at += page_size)
            if (*machine.map().at<std::uint64_t>(PhysAddr{block.value() + at}) == secret)
                has_failed.store(true, std::memory_order_relaxed);
        if (*machine.map().at<std::uint64_t>(PhysAddr{block.value() + order.bytes() - 8}) == secret)
            has_failed.store(true, std::memory_order_relaxed);
    }
};

TEST(PageAllocatorStress, EightPcpusOnFourNodesKeepTheirBooksAndTheSecretsOfTheDead)
{
    constexpr int goal = 600;
    Mortals mortals;
    std::vector<std::thread> threads;
    for (unsigned self = 0; self < Mortals::pcpus; ++self)
        threads.emplace_back([&mortals, self] { mortals.live(self, goal); });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_FALSE(mortals.has_failed.load());
    EXPECT_GE(mortals.deaths.load(), goal);
    EXPECT_TRUE(mortals.pages.is_consistent());
    mortals.pages.drain_caches();
    for (unsigned n = 0; n < Mortals::node_count; ++n) {
        while (mortals.pages.scrub_some(node(n), 512) > 0) {}
        EXPECT_EQ(mortals.pages.stats(node(n)), mortals.before[n]);
    }
    EXPECT_TRUE(mortals.pages.is_consistent());
    EXPECT_TRUE(test::misuse().empty());
}

// Pages go out of use and come back while all others go on; what is out, nobody gets. For other seeds:
// --gtest_shuffle --gtest_random_seed=N.
class Retiree {
public:
    explicit Retiree(Mortals& mortals) : mortals_{mortals} {}

    // One page more, or one looked at again; and above `most` one back.
    void step(std::size_t most)
    {
        PhysAddr page{random_() % mortals_.is_offline.size() * page_size};
        if (random_() % 4 == 0 && !out.empty())
            page = out[random_() % out.size()];
        auto const retirement = mortals_.pages.retire(page);
        if (!retirement)
            return; // Reserved memory.
        ++(*retirement == Retirement::done ? at_once : pending);
        flag(page).store(*retirement == Retirement::done, std::memory_order_relaxed);
        if (std::find(out.begin(), out.end(), page) == out.end())
            out.push_back(page);
        if (out.size() < most)
            return;
        std::swap(out[random_() % out.size()], out.back());
        flag(out.back()).store(false, std::memory_order_relaxed);
        EXPECT_TRUE(mortals_.pages.put_back(out.back()).ok());
        out.pop_back();
    }

    std::vector<PhysAddr> out;
    int at_once{0};
    int pending{0};

private:
    [[nodiscard]] std::atomic<bool>& flag(PhysAddr page) { return mortals_.is_offline[pfn_of(page).value()]; }

    Mortals& mortals_;
    std::mt19937 random_{static_cast<unsigned>(testing::UnitTest::GetInstance()->random_seed())};
};

TEST(PageAllocatorStress, PagesThatGoOutOfUseAmongEightPcpusAreNeverHandedOut)
{
    constexpr int goal = 150;
    Mortals mortals;
    std::vector<std::thread> threads;
    for (unsigned self = 0; self < Mortals::pcpus; ++self)
        threads.emplace_back([&mortals, self] { mortals.live(self, goal); });
    Retiree retiree{mortals};
    while (mortals.deaths.load(std::memory_order_relaxed) < goal && !mortals.has_failed.load())
        retiree.step(400);
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_FALSE(mortals.has_failed.load());
    EXPECT_GT(retiree.at_once, 100);
    EXPECT_GT(retiree.pending, 0);
    EXPECT_TRUE(mortals.pages.is_consistent());
    mortals.pages.drain_caches();
    std::uint64_t offline{0};
    for (unsigned n = 0; n < Mortals::node_count; ++n) {
        offline += mortals.pages.stats(node(n)).offline;
        EXPECT_EQ(mortals.pages.stats(node(n)).used, mortals.before[n].used) << "the caches' own pages";
    }
    // All that were in use at first have been given back since, except for those in which the caches themselves lie.
    std::uint64_t in_use{0};
    for (PhysAddr const page : retiree.out)
        in_use += *mortals.pages.retire(page) == Retirement::pending ? 1u : 0u;
    EXPECT_EQ(offline + in_use, retiree.out.size());
    for (PhysAddr const page : retiree.out)
        EXPECT_TRUE(mortals.pages.put_back(page).ok());
    for (unsigned n = 0; n < Mortals::node_count; ++n) {
        while (mortals.pages.scrub_some(node(n), 512) > 0) {}
        EXPECT_EQ(mortals.pages.stats(node(n)), mortals.before[n]);
    }
    EXPECT_TRUE(mortals.pages.is_consistent());
    EXPECT_TRUE(test::misuse().empty());
}

// A limit that several threads run into at once is kept exactly.
TEST(PageAllocatorStress, AccountsAreExactWhenThreadsMeetAtTheLimit)
{
    constexpr std::uint64_t limit = 64;
    constexpr int goal = 20'000;
    TestMachine machine{TestMachine::even(2, 4 * MiB), 2};
    PageAllocator& pages = machine.pages();
    DomainAccount account{domain(1), limit};
    ASSERT_TRUE(pages.attach(account).ok());
    std::atomic<int> refused{0};
    std::atomic<bool> is_over{false};
    auto const greedy = [&](unsigned self) {
        std::vector<PhysAddr> mine;
        while (refused.load(std::memory_order_relaxed) < goal) {
            Result<PhysAddr, AllocError> const got = pages.allocate({.node = node(self % 2), .owner = &account});
            if (account.total() > limit)
                is_over.store(true, std::memory_order_relaxed);
            if (got) {
                mine.push_back(*got);
                continue;
            }
            refused.fetch_add(1, std::memory_order_relaxed);
            if (!mine.empty()) {
                pages.free(mine.back(), order_4k);
                mine.pop_back();
            }
        }
        for (PhysAddr const page : mine)
            pages.free(page, order_4k);
    };
    std::vector<std::thread> threads;
    for (unsigned self = 0; self < thread_count; ++self)
        threads.emplace_back(greedy, self);
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_FALSE(is_over.load());
    EXPECT_EQ(account.total(), 0u);
    EXPECT_EQ(account.pages_on(node(0)) + account.pages_on(node(1)), 0u);
    EXPECT_TRUE(pages.is_consistent());
}

} // namespace
} // namespace hv::mm
