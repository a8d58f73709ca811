#include "arch/generic/list.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace hv {
namespace {

struct NamesTag;
struct NumbersTag;

struct Element : ListNode<NamesTag>, ListNode<NumbersTag> {
    constexpr explicit Element(int number) : id{number} {}
    int id;
};

using Names = List<Element, NamesTag>;
using Numbers = List<Element, NumbersTag>;

std::vector<int> ids(Names const& list)
{
    std::vector<int> result;
    for (Element const& element : list)
        result.push_back(element.id);
    return result;
}

void drain(Names& list)
{
    while (list.pop_front() != nullptr) {}
}

static_assert([] {
    Element a{1}, b{2};
    Names list;
    list.push_back(a);
    list.push_front(b);
    bool const right_order = list.pop_front() == &b && list.pop_front() == &a;
    return right_order && list.empty() && list.pop_front() == nullptr;
}());

TEST(List, KeepsTheOrderOfInsertion)
{
    Element a{1}, b{2}, c{3}, d{4};
    Names list;
    list.push_back(b);
    list.push_back(d);
    list.push_front(a);
    auto before_d = list.begin();
    ++before_d;
    before_d++;
    list.insert_before(before_d, c);
    EXPECT_EQ(ids(list), (std::vector{1, 2, 3, 4}));
    drain(list);
}

TEST(List, MovesAnElementBeforeAnother)
{
    Element a{1}, b{2}, c{3}, d{4};
    Names list;
    for (Element* element : {&a, &b, &c, &d})
        list.push_back(*element);
    list.move_before(list.begin(), c);
    EXPECT_EQ(ids(list), (std::vector{3, 1, 2, 4}));
    list.move_before(list.end(), c);
    EXPECT_EQ(ids(list), (std::vector{1, 2, 4, 3}));
    list.move_before(list.end(), c); // where it is already
    EXPECT_EQ(ids(list), (std::vector{1, 2, 4, 3}));
    drain(list);
}

TEST(ListDeathTest, MovingAnElementBeforeItselfIsCaught)
{
    Element a{1};
    Names list;
    list.push_back(a);
    EXPECT_DEATH(list.move_before(list.begin(), a), "position");
    drain(list);
}

TEST(List, EraseTakesFirstMiddleAndLast)
{
    Element a{1}, b{2}, c{3}, d{4};
    Names list;
    for (Element* const element : {&a, &b, &c, &d})
        list.push_back(*element);
    list.erase(b);
    EXPECT_EQ(ids(list), (std::vector{1, 3, 4}));
    list.erase(a);
    list.erase(d);
    EXPECT_EQ(ids(list), (std::vector{3}));
    list.erase(c);
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(ids(list), std::vector<int>{});
}

TEST(List, AnErasedElementMayBeInsertedAgain)
{
    Element a{1};
    Names list, other;
    list.push_back(a);
    list.erase(a);
    EXPECT_FALSE(static_cast<ListNode<NamesTag>&>(a).is_linked());
    other.push_back(a);
    EXPECT_EQ(other.pop_front(), &a);
}

TEST(List, OneElementIsInTwoListsAtOnce)
{
    Element a{1};
    Names names;
    Numbers numbers;
    names.push_back(a);
    numbers.push_back(a);
    names.erase(a);
    EXPECT_EQ(&*numbers.begin(), &a);
    numbers.erase(a);
}

TEST(ListDeathTest, InsertingAnElementTwiceIsCaught)
{
    Element a{1};
    Names list, other;
    list.push_back(a);
    EXPECT_DEATH(list.push_back(a), "is_linked");
    EXPECT_DEATH(other.push_back(a), "is_linked");
    list.erase(a);
}

TEST(ListDeathTest, ErasingAnElementThatIsInNoListIsCaught)
{
    Element a{1};
    Names list;
    EXPECT_DEATH(list.erase(a), "is_linked");
}

TEST(ListDeathTest, AnElementThatDiesWhileLinkedIsCaught)
{
    EXPECT_DEATH(
        {
            Names list;
            Element a{1};
            list.push_back(a);
        },
        "is_linked");
}

TEST(ListDeathTest, AListThatDiesWithElementsIsCaught)
{
    EXPECT_DEATH(
        {
            Element a{1};
            Names list;
            list.push_back(a);
        },
        "empty");
}

} // namespace
} // namespace hv
