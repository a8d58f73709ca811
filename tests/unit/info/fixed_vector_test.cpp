#include "boot/info/fixed_vector.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

namespace hv::boot {
namespace {

TEST(FixedVector, RefusesWhatDoesNotFitAndStaysAsItWas)
{
    FixedVector<int, 2> vector;
    EXPECT_TRUE(vector.push_back(1));
    EXPECT_TRUE(vector.push_back(2));
    EXPECT_FALSE(vector.push_back(3));
    EXPECT_FALSE(vector.insert(0, 3));
    EXPECT_EQ(std::vector<int>(vector.begin(), vector.end()), (std::vector{1, 2}));
}

TEST(FixedVector, InsertsAnElementOfItself)
{
    FixedVector<int, 3> vector;
    ASSERT_TRUE(vector.push_back(7));
    ASSERT_TRUE(vector.push_back(8));
    ASSERT_TRUE(vector.insert(0, vector[1]));
    EXPECT_EQ(std::vector<int>(vector.begin(), vector.end()), (std::vector{8, 7, 8}));
}

TEST(FixedVectorDeathTest, AnIndexBeyondTheLastElementIsCaught)
{
    FixedVector<int, 4> vector;
    ASSERT_TRUE(vector.push_back(1));
    EXPECT_DEATH(static_cast<void>(vector[1]), "index < size_");
    EXPECT_DEATH(vector.erase(1), "index < size_");
}

TEST(FixedVector, AgreesWithAVectorOverRandomOperations)
{
    std::mt19937 random{20250301};
    FixedVector<unsigned, 8> ours;
    std::vector<unsigned> model;
    for (unsigned step = 0; step < 5000; ++step) {
        std::size_t const at{model.empty() ? 0 : random() % model.size()};
        if (random() % 5 < 3) {
            bool const room = model.size() < 8;
            ASSERT_EQ(ours.insert(at, step), room);
            if (room)
                model.insert(model.begin() + static_cast<std::ptrdiff_t>(at), step);
        } else if (!model.empty()) {
            ours.erase(at);
            model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
        }
        ASSERT_EQ(std::vector<unsigned>(ours.begin(), ours.end()), model) << "step " << step;
    }
}

} // namespace
} // namespace hv::boot
