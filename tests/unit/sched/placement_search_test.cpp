// Rule numavisor: each criterion of its objective, and its search against trying every set.
#include "sched/placement/fewest.hpp"
#include "sched/placement/objective.hpp"

#include "tests/unit/sched/placement_host.hpp"

#include <time.h>

#include <algorithm>
#include <random>

namespace hv::sched::placement {
namespace {

using test::Host;
using test::nodes;
using test::NodeSpec;
using test::text;

std::string home(Host const& host, std::uint32_t vcpus, std::uint64_t mib)
{
    return text(host.place(Rule::numavisor, vcpus, mib));
}

TEST(PlacementNumavisor, PrefersFewerNodesToEverythingElse)
{
    Host host{{{4, 3000}, {4, 3000}, {8, 3000}}};
    host.add(40, nodes({2}));
    EXPECT_EQ(home(host, 8, 960), "2");
}

// E9's case, where 4.3 takes 2, 3 and 4 however far they are.
TEST(PlacementNumavisor, TakesNodesThatAreNear)
{
    Host host{std::vector<NodeSpec>(8, {2, 1000}), 30};
    for (auto const& [a, b] : {std::pair{2, 6}, std::pair{2, 7}, std::pair{6, 7}})
        host.set_distance(static_cast<unsigned>(a), static_cast<unsigned>(b), 20);
    EXPECT_EQ(home(host, 6, 2900), "2,6,7");
    EXPECT_EQ(text(host.place(Rule::xen_4_3, 6, 2900)), "0,1,2");
}

TEST(PlacementNumavisor, LooksAtTheLongestDistanceBeforeTheMean)
{
    Host host{std::vector<NodeSpec>(6, {2, 1000}), 40};
    // {0,1,2}: 11, 11, 31. {3,4,5}: 21, 21, 21.
    host.set_distance(0, 1, 11);
    host.set_distance(1, 2, 11);
    host.set_distance(0, 2, 31);
    host.set_distance(3, 4, 21);
    host.set_distance(4, 5, 21);
    host.set_distance(3, 5, 21);
    EXPECT_EQ(home(host, 6, 960), "3,4,5");
    host.set_distance(3, 5, 31);
    EXPECT_EQ(home(host, 6, 960), "0,1,2");
}

TEST(PlacementNumavisor, LooksAtBothDirectionsOfADistance)
{
    Host host{std::vector<NodeSpec>(3, {2, 1000}), 20};
    host.distances[1 * 3 + 0] = 25; // from 1 to 0
    host.distances[0 * 3 + 2] = 22; // from 0 to 2
    EXPECT_EQ(home(host, 4, 960), "1,2");
    host.distances[2 * 3 + 1] = 23;
    EXPECT_EQ(home(host, 4, 960), "0,2");
}

TEST(PlacementNumavisor, TakesTheLeastLoadedCoresNotTheFewestVcpus)
{
    Host host{{{4, 3000}, {16, 3000}}};
    host.add(2, nodes({0}));
    host.add(6, nodes({1}));
    EXPECT_EQ(home(host, 2, 960), "1"); // 8 on 16 rather than 4 on 4
    EXPECT_EQ(text(host.place(Rule::xen_4_3, 2, 960)), "0");
}

TEST(PlacementNumavisor, CountsASecondThreadAsThreeTenthsOfACore)
{
    Host host{{{8, 3000, 2}, {6, 3000}}}; // powers 5.2 and 6.0
    EXPECT_EQ(home(host, 2, 960), "1");   // 0.38 and 0.33
    host.state[1].cpu_demand += 700;      // 0.38 and 0.45
    EXPECT_EQ(home(host, 2, 960), "0");
}

TEST(PlacementNumavisor, SharesAFloatingVcpuOutAmongItsNodes)
{
    Host host{{{4, 4000}, {4, 3000}, {4, 3000}}};
    host.add(3, nodes({0, 1}));
    host.add(2, nodes({2}));
    EXPECT_EQ(home(host, 2, 960), "0");                      // 1.5, 1.5 and 2 vCPUs
    EXPECT_EQ(text(host.place(Rule::xen_4_3, 2, 960)), "2"); // 3, 3 and 2
}

TEST(PlacementNumavisor, AvoidsTheMemoryThatOthersUseWhereLoadIsEqual)
{
    Host host{{{4, 9000}, {4, 3000}}};
    add_accesses(host.state, 4, std::array<std::uint64_t, 2>{960, 0});
    EXPECT_EQ(home(host, 2, 960), "1");
    add_accesses(host.state, 4, std::array<std::uint64_t, 2>{240, 960});
    EXPECT_EQ(home(host, 2, 960), "1");
    add_accesses(host.state, 4, std::array<std::uint64_t, 2>{0, 960});
    EXPECT_EQ(home(host, 2, 960), "0");
}

TEST(PlacementNumavisor, LooksAtLoadBeforeContention)
{
    Host host{{{4, 3000}, {4, 3000}}};
    host.add(2, nodes({0}));
    add_accesses(host.state, 8, std::array<std::uint64_t, 2>{0, 960});
    EXPECT_EQ(home(host, 2, 960), "1");
}

TEST(PlacementNumavisor, TakesMostFreeMemoryLastOfAll) { EXPECT_EQ(home(Host{{{4, 3000}, {4, 3001}}}, 2, 960), "1"); }

TEST(PlacementNumavisor, FindsTheFewNodesWhereMemoryAndPcpusAreInDifferentPlaces)
{
    // Most memory: 0, 1. Most pCPUs: 2, 3. One of each is enough; so is none of the nodes alone.
    Host const host{{{1, 5000}, {1, 4000}, {8, 100}, {7, 100}, {3, 2000}}};
    EXPECT_EQ(home(host, 8, 4090), "0,2");
    EXPECT_EQ(home(host, 9, 4990), "0,2");
    EXPECT_EQ(home(host, 8, 9000), "0,1,2");
}

// ---------------------------------------------------------------------------------------------- against every set

Totals totals_of(Problem const& problem, NodeMask set)
{
    Totals totals;
    NodeMask members;
    for (NodeId const node : set) {
        unsigned longest{0}, distances{0};
        for (NodeId const member : members)
            for (unsigned const distance :
                 {problem.snapshot().distance(node, member), problem.snapshot().distance(member, node)}) {
                longest = std::max(longest, distance);
                distances += distance;
            }
        totals = with_node(totals, problem, node, longest, distances);
        members.set(node);
    }
    return totals;
}

std::optional<Totals> best_of_all(Problem const& problem)
{
    std::optional<Totals> best;
    std::uint64_t const all{problem.candidates().bits()};
    for (std::uint64_t bits = all; bits != 0; bits = (bits - 1) & all) { // every subset
        Totals const totals{totals_of(problem, NodeMask::from_bits(bits))};
        if (problem.suffices(totals.offer) && (!best || is_better(totals, *best, problem.request().vcpus)))
            best = totals;
    }
    return best;
}

// By how much `found` is worse than `best` in the first criterion in which they differ, in percent; memory counts as
// what the best leaves unused.
double percent_worse(Totals const& found, Totals const& best, std::uint32_t vcpus)
{
    auto const worse = [](double a, double b) { return (a / b - 1) * 100; };
    if (found.nodes != best.nodes)
        return worse(found.nodes, best.nodes);
    if (found.longest != best.longest)
        return worse(found.longest, best.longest);
    if (found.distances != best.distances)
        return worse(static_cast<double>(found.distances), static_cast<double>(best.distances));
    if (load_of(found, vcpus) != load_of(best, vcpus))
        return worse(static_cast<double>(load_of(found, vcpus)), static_cast<double>(load_of(best, vcpus)));
    if (found.busiest != best.busiest)
        return worse(static_cast<double>(found.busiest), std::max(1.0, static_cast<double>(best.busiest)));
    return worse(static_cast<double>(best.offer.free_kib), static_cast<double>(found.offer.free_kib));
}

enum class Shape : std::uint8_t { flat, ring, clusters, random };

Distance distance_in(Shape shape, unsigned a, unsigned b, unsigned count, std::mt19937& random)
{
    unsigned const apart{std::min((a + count - b) % count, (b + count - a) % count)};
    switch (shape) {
    case Shape::flat:
        return 20;
    case Shape::ring:
        return static_cast<Distance>(10 + 10 * std::min(apart, 5u));
    case Shape::clusters:
        return a / 3 == b / 3 ? 16 : 32;
    case Shape::random:
        break;
    }
    return static_cast<Distance>(11 + random() % 30);
}

Host random_host(std::mt19937& random, Shape shape, unsigned count)
{
    std::vector<NodeSpec> specs;
    bool const uniform{random() % 2 == 0};
    unsigned const threads{1 + static_cast<unsigned>(random() % 2)};
    for (unsigned i = 0; i < count; ++i)
        specs.push_back({uniform ? 4 : static_cast<std::uint32_t>((random() % 5) * 2), 200 + random() % 4000, threads});
    Host host{specs};
    for (unsigned a = 0; a < count; ++a)
        for (unsigned b = 0; b < a; ++b) {
            host.set_distance(a, b, distance_in(shape, a, b, count, random));
            if (shape == Shape::random && random() % 4 == 0) // one way
                host.distances[a * count + b] = static_cast<Distance>(11 + random() % 30);
        }
    for (NodeState& node : host.state) {
        node.cpu_demand = random() % 8000;
        node.memory_demand = random() % 8000;
    }
    return host;
}

Request random_request(std::mt19937& random, Host const& host)
{
    std::uint64_t memory{0}, pcpus{0};
    for (NodeState const& node : host.state) {
        memory += node.pcpus == 0 ? 0 : node.free_kib;
        pcpus += node.pcpus;
    }
    return {.vcpus = static_cast<std::uint32_t>(1 + random() % std::max<std::uint64_t>(1, pcpus)),
            .need_kib = 1 + random() % std::max<std::uint64_t>(1, memory),
            .smt = random() % 4 == 0 ? Smt::cores : Smt::threads};
}

// `rounds` random machines of 2 to `most` nodes; how many VMs were not placed where trying every set would have.
void compare_with_every_set(int rounds, unsigned least, unsigned most, unsigned seed)
{
    std::mt19937 random{seed}; // NOLINT(cert-msc51-cpp): the same machines each time.
    unsigned placed{0}, not_best{0};
    for (int round = 0; round < rounds; ++round) {
        auto const shape = static_cast<Shape>(random() % 4);
        Host const host{random_host(random, shape, least + static_cast<unsigned>(random() % (most - least + 1)))};
        Request const request{random_request(random, host)};
        auto const found = host.place(Rule::numavisor, request);
        Problem const problem{host.snapshot(), request, request.smt};
        auto const best = best_of_all(problem);
        ASSERT_EQ(found.ok(), best.has_value()) << round;
        if (!best)
            continue;
        Totals const totals{totals_of(problem, *found)};
        ASSERT_TRUE(problem.suffices(totals.offer)) << round;
        ++placed;
        not_best += *found == best->set ? 0u : 1u;
        EXPECT_LE(percent_worse(totals, *best, request.vcpus), 5.0)
            << "machine " << round << ": found " << text(found) << ", best "
            << text(Result<NodeMask, NotPlaced>{best->set});
    }
    EXPECT_GT(placed, static_cast<unsigned>(rounds) / 2);
    EXPECT_LE(not_best, placed / 50);
    testing::Test::RecordProperty("not_best", static_cast<int>(not_best));
}

TEST(PlacementNumavisor, IsNeverMoreThanFivePercentWorseThanTryingEverySetOfUpToEightNodes)
{
    compare_with_every_set(5000, 2, 8, 20130709);
}

TEST(PlacementNumavisor, IsNeverMoreThanFivePercentWorseThanTryingEverySetOfUpToThirteenNodes)
{
    compare_with_every_set(150, 9, 13, 4711);
}

TEST(PlacementNumavisor, FindsAsFewNodesAsTryingEverySet)
{
    std::mt19937 random{42}; // NOLINT(cert-msc51-cpp)
    for (int round = 0; round < 300; ++round) {
        Host host{random_host(random, Shape::flat, 12)};
        for (NodeState& node : host.state)
            node.pcpus = node.cores = 1 + static_cast<std::uint32_t>(random() % 40); // Sizes that hardly repeat.
        Request const request{random_request(random, host)};
        Problem const problem{host.snapshot(), request, request.smt};
        if (problem.obstacle())
            continue;
        NodeMask const few{fewest_nodes(problem, *host.workspace)};
        EXPECT_TRUE(problem.suffices(totals_of(problem, few).offer));
        EXPECT_EQ(few.count(), best_of_all(problem)->nodes) << round;
    }
}

// What trying every set cannot check: on large machines no exchange of one node makes the chosen set better.
TEST(PlacementNumavisor, LeavesNoNodeOnALargeMachineThatAnotherWouldBetter)
{
    std::mt19937 random{99}; // NOLINT(cert-msc51-cpp)
    unsigned checked{0}, better{0};
    for (int round = 0; round < 120; ++round) {
        auto const shape = static_cast<Shape>(random() % 4);
        Host const host{random_host(random, shape, 24 + static_cast<unsigned>(random() % 41))};
        Request request{random_request(random, host)};
        request.vcpus = 1 + request.vcpus / 4;
        request.need_kib = 1 + request.need_kib / 4;
        Problem const problem{host.snapshot(), request, request.smt};
        auto const found = host.place(Rule::numavisor, request);
        ASSERT_TRUE(found.ok());
        Totals const totals{totals_of(problem, *found)};
        for (NodeId const leaving : *found)
            for (NodeId const joining : problem.candidates() - *found) {
                NodeMask other{*found};
                other.clear(leaving);
                other.set(joining);
                Totals const then{totals_of(problem, other)};
                ++checked;
                better += problem.suffices(then.offer) && is_better(then, totals, request.vcpus) ? 1u : 0u;
            }
    }
    EXPECT_EQ(better, 0u);
    EXPECT_GT(checked, 1000u);
}

// The least of several tries: what the search costs when nobody else has the CPU.
double milliseconds_to_place(Host const& host, Rule rule, Request const& request)
{
    double least{1e9};
    for (int round = 0; round < 15; ++round) {
        timespec before{}, after{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
        EXPECT_TRUE(host.place(rule, request).ok());
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
        least = std::min(least, static_cast<double>(after.tv_sec - before.tv_sec) * 1e3 +
                                    static_cast<double>(after.tv_nsec - before.tv_nsec) / 1e6);
    }
    return least;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double slowdown = 15;
#else
constexpr double slowdown = 1;
#endif

TEST(PlacementNumavisor, P29PlacesOn64NodesInAMillisecond)
{
    std::mt19937 random{7}; // NOLINT(cert-msc51-cpp)
    for (Shape const shape : {Shape::flat, Shape::ring, Shape::clusters, Shape::random}) {
        Host host{random_host(random, shape, 64)};
        for (unsigned const part : {64u, 16u, 8u, 4u, 3u, 2u}) {
            Request request{.vcpus = 1, .need_kib = 0};
            std::uint64_t pcpus{0};
            for (NodeState const& node : host.state) {
                request.need_kib += node.pcpus == 0 ? 0 : node.free_kib / part;
                pcpus += node.pcpus;
            }
            request.vcpus = static_cast<std::uint32_t>(pcpus / part);
            double const took{milliseconds_to_place(host, Rule::numavisor, request)};
            EXPECT_LT(took, slowdown) << "shape " << static_cast<int>(shape) << ", 1/" << part;
            if (std::getenv("PLACEMENT_TIMES") != nullptr)
                std::printf("shape %d 1/%u: %.3f ms\n", static_cast<int>(shape), part, took);
        }
    }
}

TEST(Placement43, P29TriesAll65535SetsInAMillisecond)
{
    Host host{std::vector<NodeSpec>(16, {4, 1000})};
    host.state[15].pcpus = 3;                                        // Not uniform: begins with single nodes.
    Request const request{.vcpus = 1, .need_kib = 15'500ull * 1024}; // All 16, so all others first.
    double const took{milliseconds_to_place(host, Rule::xen_4_3, request)};
    EXPECT_LT(took, slowdown);
}

} // namespace
} // namespace hv::sched::placement
