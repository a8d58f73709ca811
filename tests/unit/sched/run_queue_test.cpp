#include "sched/run_queue.hpp" // The header under test comes first, so that it proves to be self-contained.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <vector>

namespace hv::sched {
namespace {

// The smallest thing a run queue accepts.
struct Element : ListNode<RunQueueTag> {
    constexpr explicit Element(Prio p, int number = 0) : current{p}, id{number} {}
    [[nodiscard]] constexpr Prio prio() const noexcept { return current; }

    Prio current;
    int id;
};

using Queue = RunQueue<Element>;

std::vector<int> drain(Queue& queue)
{
    std::vector<int> ids;
    while (Element* element = queue.front()) {
        queue.remove(*element);
        ids.push_back(element->id);
    }
    return ids;
}

// The order is fixed at compile time too.
static_assert([] {
    Element over{Prio::over}, boost{Prio::boost};
    Queue queue;
    queue.insert(over);
    queue.insert(boost);
    bool const boost_leads = queue.front() == &boost;
    queue.remove(boost);
    queue.remove(over);
    return boost_leads && queue.empty() && queue.front() == nullptr;
}());

TEST(RunQueue, KeepsFifoOrderWithinOnePriority)
{
    Element a{Prio::under, 1}, b{Prio::boost, 2}, c{Prio::under, 3}, d{Prio::over, 4}, e{Prio::boost, 5},
        idle{Prio::idle, 6};
    Queue queue;
    for (Element* element : {&idle, &a, &b, &c, &d, &e})
        queue.insert(*element);
    EXPECT_EQ(drain(queue), (std::vector{2, 5, 1, 3, 4, 6}));
}

TEST(RunQueue, AYielderLetsExactlyOneWorseElementPass)
{
    Element a{Prio::under, 1}, b{Prio::over, 2}, c{Prio::over, 3}, idle{Prio::idle, 4}, yielder{Prio::under, 5};
    Queue queue;
    for (Element* element : {&a, &b, &c, &idle})
        queue.insert(*element);
    queue.insert(yielder, true);
    EXPECT_EQ(drain(queue), (std::vector{1, 2, 5, 3, 4}));
}

TEST(RunQueue, AYielderNeverLetsTheIdleOnePass)
{
    Element a{Prio::under, 1}, idle{Prio::idle, 2}, yielder{Prio::over, 3};
    Queue queue;
    queue.insert(a);
    queue.insert(idle);
    queue.insert(yielder, true);
    EXPECT_EQ(drain(queue), (std::vector{1, 3, 2}));
}

TEST(RunQueue, AYielderAmongEqualsGoesToTheirEnd)
{
    Element a{Prio::under, 1}, b{Prio::under, 2}, yielder{Prio::under, 3};
    Queue queue;
    queue.insert(a);
    queue.insert(b);
    queue.insert(yielder, true);
    EXPECT_EQ(drain(queue), (std::vector{1, 2, 3}));
}

TEST(RunQueue, APriorityThatChangesWhileQueuedTakesEffectAtThePartition)
{
    Element a{Prio::under, 1}, b{Prio::under, 2}, c{Prio::under, 3};
    Queue queue;
    for (Element* element : {&a, &b, &c})
        queue.insert(*element);
    a.current = Prio::over;
    EXPECT_EQ(queue.front(), &a);
    queue.partition();
    EXPECT_EQ(drain(queue), (std::vector{2, 3, 1}));
}

// Upstream's: until it is sorted, one that has become UNDER stays hidden behind an OVER one, and one that is inserted
// stops at the first that is worse.
TEST(RunQueue, InsertionStopsAtTheFirstWorseElementEvenIfBetterOnesFollow)
{
    Element a{Prio::under, 1}, b{Prio::under, 2}, late{Prio::under, 3};
    Queue queue;
    queue.insert(a);
    queue.insert(b);
    a.current = Prio::over;
    queue.insert(late);
    EXPECT_EQ(drain(queue), (std::vector{3, 1, 2}));
}

TEST(RunQueue, PartitionLeavesBoostAndUnderInTheirOrder)
{
    Element a{Prio::under, 1}, b{Prio::under, 2}, c{Prio::under, 3};
    Queue queue;
    for (Element* element : {&a, &b, &c})
        queue.insert(*element);
    c.current = Prio::boost;
    queue.partition();
    EXPECT_EQ(drain(queue), (std::vector{1, 2, 3}));
}

TEST(RunQueueDeathTest, QueueingAnElementTwiceIsCaught)
{
    Element element{Prio::under};
    Queue queue;
    queue.insert(element);
    EXPECT_DEATH(queue.insert(element), "is_linked");
    queue.remove(element);
}

TEST(RunQueueDeathTest, RemovingAnElementFromTheWrongQueueIsCaught)
{
#ifndef HV_DEBUG
    GTEST_SKIP() << "a whole-queue check, compiled in with HV_DEBUG only";
#endif
    Element element{Prio::under};
    Queue queue, other;
    queue.insert(element);
    EXPECT_DEATH(other.remove(element), "contains");
    queue.remove(element);
}

// Model test: insertions into a vector by upper_bound, then priorities change at random, then a stable partition.
TEST(RunQueue, PartitionAgreesWithAStablePartitionOfTheModel)
{
    std::mt19937 random{20240607};
    constexpr std::array prios{Prio::boost, Prio::under, Prio::over, Prio::idle};
    auto const any_prio = [&] { return prios[random() % prios.size()]; };
    for (int round = 0; round < 300; ++round) {
        std::deque<Element> elements;
        std::vector<Element*> model;
        Queue queue;
        auto const count = static_cast<int>(random() % 20);
        for (int i = 0; i < count; ++i) {
            Element& element{elements.emplace_back(any_prio(), i)};
            queue.insert(element);
            model.insert(std::ranges::upper_bound(model, element.current, std::greater{}, &Element::current), &element);
        }
        for (Element& element : elements)
            element.current = any_prio();
        std::stable_partition(model.begin(), model.end(),
                              [](Element const* element) { return element->current >= Prio::under; });
        queue.partition();
        std::vector<int> expected;
        for (Element const* element : model)
            expected.push_back(element->id);
        EXPECT_EQ(drain(queue), expected) << "round " << round;
    }
}

} // namespace
} // namespace hv::sched
