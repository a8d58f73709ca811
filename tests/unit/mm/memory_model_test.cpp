// Random requests against a model that knows of each page frame whose it is, and nothing of buddies: with every free
// page merged as far as it goes, a block can be had exactly if an aligned run of free frames is there.
#include "mm/page_allocator.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <deque>
#include <random>

namespace hv::mm {
namespace {

using test::domain;
using test::misuse;
using test::node;
using test::TestMachine;

constexpr int frame_free = -1;
constexpr int frame_reserved = -2;
constexpr int kernel = 0; // Owners 1 and up are domains.
constexpr int domains = 5;

struct Live {
    PhysAddr address;
    Order order;
    int owner;
};

class AllocatorModel {
public:
    AllocatorModel(std::vector<MemoryBlock> const& blocks, unsigned nodes, std::vector<Distance> const& distances,
                   unsigned seed)
        : random_{seed}, machine_{blocks, nodes, distances}, nodes_{nodes}, free_(nodes, 0)
    {
        static_cast<void>(machine_.pages());
        frames_.assign(blocks.back().end() / page_size, frame_reserved);
        for (MemoryBlock const& free : machine_.early().available())
            for (std::uint64_t at = free.base.value(); at < free.end(); at += page_size) {
                frames_[at / page_size] = frame_free;
                ++free_[free.node.value()];
            }
        for (unsigned n = 1; n <= domains; ++n) {
            std::uint64_t const limit{n == domains ? 200 : DomainAccount::no_limit};
            EXPECT_TRUE(machine_.pages().attach(accounts_.emplace_back(domain(n), limit)).ok());
        }
        blocks_ = machine_.early().present();
        for (unsigned cpu = 0; cpu < 2 * nodes; ++cpu)
            node_of_pcpu_.push_back(node(cpu % nodes));
    }

    // Two pCPUs a node; what their caches have is as free as anything else to the model.
    void create_caches()
    {
        static_cast<void>(machine_.pages().create_caches(node_of_pcpu_));
        // The caches themselves are the kernel's, one page each, for ever: the model sees them by their absence.
        has_caches_ = true;
        for (NodeId const n : NodeMask::first_n(nodes_)) {
            overhead_.push_back(machine_.pages().stats(n).used);
            free_[n.value()] -= overhead_.back();
        }
        forget_frames_in_use();
    }

    void run(int operations, int check_every)
    {
        for (int i = 1; i <= operations && !testing::Test::HasFailure(); ++i) {
            // Drift between nearly empty and exhausted, so that both ends are met.
            unsigned const bias = i / 5000 % 2 == 0 ? 56 : 44;
            unsigned const dice{pick(100)};
            if (dice < bias || live_.empty())
                allocate();
            else if (dice < 98)
                free();
            else
                transfer();
            check_books();
            if (i % check_every == 0)
                check();
        }
        while (!live_.empty() && !testing::Test::HasFailure())
            free();
        check();
        EXPECT_TRUE(misuse().empty());
    }

    [[nodiscard]] int successes() const { return successes_; }
    [[nodiscard]] int failures() const { return failures_; }

private:
    unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }
    [[nodiscard]] CpuId any_pcpu()
    {
        return CpuId{static_cast<CpuId::Rep>(pick(static_cast<unsigned>(node_of_pcpu_.size())))};
    }
    // Frames that the allocator has but that neither are free nor belong to a block we know of: by their entries they
    // are the kernel's. Found by taking everything that can be had, and giving it back.
    void forget_frames_in_use()
    {
        std::vector<PhysAddr> all;
        while (Result<PhysAddr, AllocError> const page = machine_.pages().allocate({}))
            all.push_back(*page);
        std::vector<bool> is_free(frames_.size(), false);
        for (PhysAddr const page : all) {
            is_free[page.value() / page_size] = true;
            machine_.pages().free(page, order_4k);
        }
        for (std::size_t i = 0; i < frames_.size(); ++i)
            if (frames_[i] == frame_free && !is_free[i])
                frames_[i] = frame_reserved;
    }
    // What can be checked at every step.
    void check_books()
    {
        for (NodeId const n : NodeMask::first_n(nodes_)) {
            NodeStats const stats{machine_.pages().stats(n)};
            ASSERT_EQ(stats.free + stats.used + stats.cached + stats.reserved, stats.present);
            ASSERT_EQ(stats.free + stats.cached, free_[n.value()]);
        }
    }
    [[nodiscard]] DomainAccount* account(int owner)
    {
        return owner == kernel ? nullptr : &accounts_[static_cast<std::size_t>(owner - 1)];
    }

    Request any_request(int owner)
    {
        Request request{.policy = static_cast<Policy>(pick(5)), .node = node(pick(nodes_)), .owner = account(owner)};
        unsigned const dice{pick(100)};
        request.order = Order{dice < 60 ? 0 : dice < 95 ? pick(7) : pick(10)};
        for (unsigned n = pick(3); n > 0 || request.set.empty(); n -= n > 0 ? 1 : 0)
            request.set.set(node(pick(nodes_)));
        return request;
    }

    void allocate()
    {
        int const owner{static_cast<int>(pick(domains + 1))};
        Request const request{any_request(owner)};
        bool const over_limit =
            request.owner != nullptr && request.owner->total() + request.order.pages() > request.owner->max_pages();
        Result<PhysAddr, AllocError> const got = has_caches_ && pick(4) != 0
                                                     ? machine_.pages().allocate(any_pcpu(), request)
                                                     : machine_.pages().allocate(request);
        if (!got) {
            ++failures_;
            EXPECT_EQ(got.error(), over_limit ? AllocError::over_limit : error_of(request.policy));
            if (!over_limit) {
                EXPECT_TRUE(first_with_room(request, allowed(request)).empty()) << "there was room";
            }
            return;
        }
        ++successes_;
        EXPECT_FALSE(over_limit);
        EXPECT_EQ(got->value() % request.order.bytes(), 0u);
        NodeId const from{machine_.node_of(*got)};
        EXPECT_TRUE(allowed(request).test(from));
        if (request.policy != Policy::interleave && pick(8) == 0) {
            EXPECT_TRUE(first_with_room(request, allowed(request)).test(from)) << "a better node had room";
        }
        claim(*got, request.order, frame_free, owner);
        free_[from.value()] -= request.order.pages();
        live_.push_back({*got, request.order, owner});
    }

    void free()
    {
        std::swap(live_[pick(static_cast<unsigned>(live_.size()))], live_.back());
        Live const gone{live_.back()};
        live_.pop_back();
        claim(gone.address, gone.order, gone.owner, frame_free);
        free_[machine_.node_of(gone.address).value()] += gone.order.pages();
        if (has_caches_ && pick(4) != 0)
            machine_.pages().free(any_pcpu(), gone.address, gone.order);
        else
            machine_.pages().free(gone.address, gone.order);
    }

    void transfer()
    {
        Live& block = live_[pick(static_cast<unsigned>(live_.size()))];
        int const to{static_cast<int>(pick(domains + 1))};
        DomainAccount* const heir{account(to)};
        bool const over_limit = heir != nullptr && heir->total() + block.order.pages() > heir->max_pages();
        Status<AllocError> const status = machine_.pages().transfer(block.address, block.order, heir);
        EXPECT_EQ(status.ok(), !over_limit);
        if (!status)
            return;
        claim(block.address, block.order, block.owner, to);
        block.owner = to;
    }

    void claim(PhysAddr address, Order order, int from, int to)
    {
        std::uint64_t const first{address.value() / page_size};
        for (std::uint64_t i = first; i < first + order.pages(); ++i) {
            EXPECT_EQ(frames_[i], from) << "frame " << i;
            frames_[i] = to;
        }
    }

    static AllocError error_of(Policy policy)
    {
        return policy == Policy::strict_node  ? AllocError::exhausted_node
               : policy == Policy::strict_set ? AllocError::exhausted_set
                                              : AllocError::exhausted;
    }

    [[nodiscard]] NodeMask allowed(Request const& request) const
    {
        return request.policy == Policy::strict_node  ? NodeMask::of(request.node)
               : request.policy == Policy::strict_set ? request.set
                                                      : NodeMask::first_n(nodes_);
    }

    // The nodes that may serve the request: of the best group that has room, the ones with most free memory and room.
    [[nodiscard]] NodeMask first_with_room(Request const& request, NodeMask among)
    {
        DistanceOrder const& order = machine_.pages().distance_order();
        std::array<NodeMask, 3> stages{among, NodeMask{}, NodeMask{}};
        if (request.policy == Policy::preferred)
            stages = {NodeMask::of(request.node), request.set, among};
        for (NodeMask stage : stages) {
            while (!stage.empty()) {
                NodeMask const group{order.nearest(request.node, stage)};
                stage = stage - group;
                std::optional<NodeId> best;
                for (NodeId const n : group)
                    if (has_room(n, request.order) && (!best || free_[n.value()] > free_[best->value()]))
                        best = n;
                if (best)
                    return NodeMask::of(*best);
            }
        }
        return {};
    }

    [[nodiscard]] bool has_room(NodeId n, Order order) const
    {
        for (MemoryBlock const& block : blocks_) {
            if (block.node != n)
                continue;
            std::uint64_t const end{block.end() / page_size};
            std::uint64_t first{round_up(block.base.value(), order.bytes()) / page_size};
            for (; first + order.pages() <= end; first += order.pages()) {
                std::uint64_t i{0};
                while (i < order.pages() && frames_[first + i] == frame_free)
                    ++i;
                if (i == order.pages())
                    return true;
            }
        }
        return false;
    }

    void check()
    {
        ASSERT_TRUE(machine_.pages().is_consistent());
        std::vector<std::array<std::uint64_t, domains + 1>> owned(nodes_);
        for (MemoryBlock const& block : blocks_)
            for (std::uint64_t at = block.base.value() / page_size; at < block.end() / page_size; ++at)
                if (frames_[at] >= kernel)
                    ++owned[block.node.value()][static_cast<std::size_t>(frames_[at])];
        for (NodeId const n : NodeMask::first_n(nodes_)) {
            NodeStats const stats{machine_.pages().stats(n)};
            std::uint64_t used{0};
            for (std::uint64_t const pages : owned[n.value()])
                used += pages;
            EXPECT_EQ(stats.used, used + (has_caches_ ? overhead_[n.value()] : 0));
            EXPECT_EQ(stats.free + stats.cached, free_[n.value()]);
            for (std::size_t owner = 1; owner <= domains; ++owner)
                EXPECT_EQ(accounts_[owner - 1].pages_on(n), owned[n.value()][owner]);
        }
    }

    std::mt19937 random_;
    TestMachine machine_;
    unsigned nodes_;
    std::deque<DomainAccount> accounts_;
    std::span<MemoryBlock const> blocks_;
    std::vector<int> frames_; // whose each is
    std::vector<NodeId> node_of_pcpu_;
    std::vector<std::uint64_t> overhead_;
    bool has_caches_{false};
    std::vector<std::uint64_t> free_;
    std::vector<Live> live_;
    int successes_{0};
    int failures_{0};
};

// Blocks of odd sizes at odd places; nodes take turns, some get several blocks, some none.
std::vector<MemoryBlock> odd_blocks(unsigned nodes, unsigned count, std::uint64_t largest_pages, std::mt19937& random)
{
    std::vector<MemoryBlock> blocks;
    std::uint64_t at{0};
    for (unsigned i = 0; i < count; ++i) {
        std::uint64_t const pages{1 + random() % largest_pages};
        blocks.push_back(test::block(at, pages * page_size,
                                     random() % 4 == 0 ? static_cast<unsigned>(random() % nodes) : i % nodes));
        at += (pages + (random() % 3 == 0 ? 1 + random() % 40 : 0)) * page_size;
    }
    return blocks;
}

std::vector<Distance> odd_distances(unsigned nodes, std::mt19937& random)
{
    std::vector<Distance> distances(std::size_t{nodes} * nodes);
    for (Distance& distance : distances)
        distance = static_cast<Distance>(std::array{10, 20, 20, 21, 30, 255}[random() % 6]);
    return distances;
}

TEST(MemoryModel, AMillionRandomOperationsOnFourNodesWithHolesAgreeWithTheModel)
{
    std::mt19937 random{20240901};
    AllocatorModel model{odd_blocks(4, 9, 700, random), 4, odd_distances(4, random), 1};
    model.run(1'000'000, 10'000);
    EXPECT_GT(model.successes(), 300'000);
    EXPECT_GT(model.failures(), 10'000) << "exhaustion was hardly met";
}

// NV_MM_OPERATIONS=10000000 in make soak.
TEST(MemoryModel, RandomOperationsThroughThePcpusCachesAgreeWithTheModel)
{
    char const* const wanted{std::getenv("NV_MM_OPERATIONS")};
    std::mt19937 random{20240902};
    AllocatorModel model{odd_blocks(4, 9, 1500, random), 4, odd_distances(4, random), 2};
    model.create_caches();
    model.run(wanted != nullptr ? std::atoi(wanted) : 200'000, 10'000);
    EXPECT_GT(model.successes(), 50'000);
    EXPECT_GT(model.failures(), 1'000) << "exhaustion was hardly met";
}

TEST(MemoryModel, AnyNumberOfNodesOfOddSizesAgreesWithTheModel)
{
    for (unsigned nodes = 1; nodes <= 64; ++nodes) {
        std::mt19937 random{nodes};
        AllocatorModel model{odd_blocks(nodes, nodes + 3, 150, random), nodes, odd_distances(nodes, random), nodes};
        model.run(3'000, 1'000);
        EXPECT_GT(model.successes(), 500) << nodes << " nodes";
        if (testing::Test::HasFailure())
            FAIL() << nodes << " nodes";
    }
}

} // namespace
} // namespace hv::mm
