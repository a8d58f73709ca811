#include "arch/generic/mask.hpp"

#include "tests/support/literals.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

namespace hv {
namespace {

using test::cpu;
using Model = std::set<unsigned>;

CpuMask mask_of(Model const& members)
{
    CpuMask mask;
    for (unsigned const member : members)
        mask.set(cpu(member));
    return mask;
}

Model members_of(CpuMask const& mask)
{
    Model members;
    for (CpuId const member : mask)
        members.insert(member.value());
    return members;
}

// The kernel's tables use masks in constant expressions.
static_assert([] {
    CpuMask mask{CpuMask::first_n(65)};
    mask.clear(cpu(0));
    mask.set(cpu(4095));
    CpuMask const both{mask & CpuMask::of(cpu(64))};
    return mask.count() == 65 && mask.first() == cpu(1) && mask.next(cpu(64)) == cpu(4095) && both.count() == 1 &&
           (mask - both).count() == 64 &&
           (mask | CpuMask::of(cpu(0))) == (CpuMask::first_n(65) | CpuMask::of(cpu(4095)));
}());

TEST(CpuMask, StartsEmpty)
{
    CpuMask const mask;
    EXPECT_TRUE(mask.empty());
    EXPECT_EQ(mask.count(), 0u);
    EXPECT_EQ(mask.first(), std::nullopt);
    EXPECT_EQ(mask.begin(), mask.end());
}

TEST(CpuMask, ForgetsAMemberThatIsCleared)
{
    CpuMask mask{CpuMask::of(cpu(70))};
    mask.clear(cpu(71)); // no member
    EXPECT_TRUE(mask.test(cpu(70)));
    mask.clear(cpu(70));
    EXPECT_FALSE(mask.test(cpu(70)));
    EXPECT_TRUE(mask.empty());
    EXPECT_EQ(mask, CpuMask{});
}

TEST(CpuMask, FirstNEndsAtTheRightBitOfEachWord)
{
    for (unsigned const count : {0u, 1u, 63u, 64u, 65u, 127u, 128u, 129u, 4032u, 4095u, 4096u}) {
        CpuMask const mask{CpuMask::first_n(count)};
        EXPECT_EQ(mask.count(), count);
        if (count > 0) {
            EXPECT_TRUE(mask.test(cpu(count - 1)));
            EXPECT_EQ(mask.next(cpu(count - 1)), std::nullopt) << count;
        }
        if (count < CpuMask::capacity) {
            EXPECT_FALSE(mask.test(cpu(count)));
        }
    }
}

TEST(CpuMask, NextCrossesEmptyWords)
{
    CpuMask const mask{mask_of({0, 63, 64, 1000, 4095})};
    EXPECT_EQ(mask.first(), cpu(0));
    EXPECT_EQ(mask.next(cpu(0)), cpu(63));
    EXPECT_EQ(mask.next(cpu(63)), cpu(64));
    EXPECT_EQ(mask.next(cpu(64)), cpu(1000));
    EXPECT_EQ(mask.next(cpu(500)), cpu(1000));
    EXPECT_EQ(mask.next(cpu(1000)), cpu(4095));
    EXPECT_EQ(mask.next(cpu(4095)), std::nullopt);
}

TEST(CpuMask, CycleWrapsAndReturnsItselfWhenAlone)
{
    CpuMask const mask{mask_of({5, 64, 200})};
    EXPECT_EQ(mask.cycle(cpu(5)), cpu(64));
    EXPECT_EQ(mask.cycle(cpu(200)), cpu(5));
    EXPECT_EQ(mask.cycle(cpu(4095)), cpu(5));
    EXPECT_EQ(CpuMask::of(cpu(5)).cycle(cpu(5)), cpu(5));
}

TEST(CpuMaskDeathTest, CycleOfAnEmptySetIsCaught)
{
    CpuMask const mask;
    EXPECT_DEATH(static_cast<void>(mask.cycle(cpu(0))), "empty");
}

TEST(CpuMaskDeathTest, APcpuBeyondTheCapacityIsCaught)
{
    CpuMask mask;
    EXPECT_DEATH(mask.set(cpu(4096)), "capacity");
    EXPECT_DEATH(static_cast<void>(CpuMask::first_n(4097)), "capacity");
}

TEST(CpuMask, AssignmentDropsWordsThatTheSourceDoesNotHave)
{
    CpuMask target{mask_of({3, 100, 4000})};
    target = CpuMask::of(cpu(64));
    EXPECT_EQ(members_of(target), (Model{64}));
    CpuMask const& same{target};
    target = same;
    EXPECT_EQ(members_of(target), (Model{64}));
    target.set(cpu(3)); // A word that was used, dropped and is used again holds nothing old.
    EXPECT_EQ(members_of(target), (Model{3, 64}));
}

Model model_and(Model const& a, Model const& b)
{
    Model result;
    std::ranges::set_intersection(a, b, std::inserter(result, result.end()));
    return result;
}

Model model_or(Model a, Model const& b)
{
    a.insert(b.begin(), b.end());
    return a;
}

Model model_minus(Model const& a, Model const& b)
{
    Model result;
    std::ranges::set_difference(a, b, std::inserter(result, result.end()));
    return result;
}

// Same machine size for both, from one pCPU to the capacity; sets and clears in random order, so that words come and
// go.
class RandomMasks {
public:
    explicit RandomMasks(std::uint32_t seed) : random_{seed}, size_{pick_size()} {}

    void churn(CpuMask& mask, Model& model)
    {
        auto const steps = static_cast<unsigned>(1 + random_() % 60);
        for (unsigned i = 0; i < steps; ++i) {
            unsigned const member = any();
            if (random_() % 3 != 0) {
                mask.set(cpu(member));
                model.insert(member);
            } else {
                unsigned const victim = model.empty() || random_() % 2 != 0 ? member : *model.begin();
                mask.clear(cpu(victim));
                model.erase(victim);
            }
        }
    }
    unsigned any() { return static_cast<unsigned>(random_() % size_); }

private:
    unsigned pick_size()
    {
        constexpr std::array sizes{1u, 2u, 63u, 64u, 65u, 128u, 200u, 1024u, 4096u};
        return sizes[random_() % sizes.size()];
    }

    std::mt19937 random_;
    unsigned size_;
};

TEST(CpuMask, AgreesWithAModelSet)
{
    for (std::uint32_t seed = 0; seed < 300; ++seed) {
        SCOPED_TRACE(seed);
        RandomMasks random{seed};
        CpuMask a, b;
        Model model_a, model_b;
        random.churn(a, model_a);
        random.churn(b, model_b);
        ASSERT_EQ(members_of(a), model_a);
        EXPECT_EQ(a.count(), model_a.size());
        EXPECT_EQ(a == b, model_a == model_b);
        EXPECT_EQ(members_of(a & b), model_and(model_a, model_b));
        EXPECT_EQ(members_of(a | b), model_or(model_a, model_b));
        EXPECT_EQ(members_of(a - b), model_minus(model_a, model_b));
        EXPECT_EQ(count_common(a, b), model_and(model_a, model_b).size());
        EXPECT_EQ(a.intersects(b), !model_and(model_a, model_b).empty());
        EXPECT_EQ(a.is_subset_of(b), model_minus(model_a, model_b).empty());
        EXPECT_TRUE((a & b).is_subset_of(a));
        unsigned const at = random.any();
        auto const above = model_a.upper_bound(at);
        EXPECT_EQ(a.test(cpu(at)), model_a.contains(at));
        EXPECT_EQ(a.next(cpu(at)), above == model_a.end() ? std::nullopt : std::optional{cpu(*above)});
        if (!model_a.empty()) {
            EXPECT_EQ(a.cycle(cpu(at)), cpu(above == model_a.end() ? *model_a.begin() : *above));
        }
    }
}

TEST(CpuMask, IsASubsetOfItselfAndTheEmptySetOfAll)
{
    CpuMask const some{mask_of({1, 65})};
    EXPECT_TRUE(some.is_subset_of(some));
    EXPECT_TRUE(CpuMask{}.is_subset_of(some));
    EXPECT_FALSE(some.is_subset_of(CpuMask{}));
    EXPECT_FALSE(some.is_subset_of(CpuMask::first_n(65)));
}

TEST(AtomicCpuMask, SnapshotShowsWhatWasSetAndNotCleared)
{
    AtomicCpuMask mask;
    for (unsigned const member : {0u, 63u, 64u, 4095u})
        mask.set(cpu(member));
    mask.clear(cpu(63));
    mask.clear(cpu(4095));
    mask.clear(cpu(7)); // no member
    EXPECT_TRUE(mask.test(cpu(64)));
    EXPECT_FALSE(mask.test(cpu(63)));
    EXPECT_EQ(members_of(mask.snapshot()), (Model{0, 64}));
}

TEST(AtomicCpuMask, AgreesWithAModelSet)
{
    std::mt19937 random{7};
    AtomicCpuMask mask;
    Model model;
    for (int i = 0; i < 2000; ++i) {
        auto const member = static_cast<unsigned>(random() % 200);
        if (random() % 2 != 0) {
            mask.set(cpu(member));
            model.insert(member);
        } else {
            mask.clear(cpu(member));
            model.erase(member);
        }
        ASSERT_EQ(mask.test(cpu(member)), model.contains(member));
        if (i % 10 == 0) {
            ASSERT_EQ(members_of(mask.snapshot()), model) << i;
        }
    }
}

} // namespace
} // namespace hv
