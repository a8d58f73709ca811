// Domains and vCPUs that cannot be made for want of memory, whichever of their parts is the one too many.
#include "sched/core.hpp"

#include "tests/unit/regressions/support.hpp"

#include <gtest/gtest.h>

namespace hv::sched {
namespace {

using namespace test;

class NoMemory : public testing::TestWithParam<char const*> {
protected:
    // Whether both could be made.
    [[nodiscard]] bool make_and_end_one()
    {
        auto const domain = bare.core().create_domain(DomainId{1});
        if (!domain) {
            EXPECT_EQ(domain.error(), CoreError::no_memory);
            return false;
        }
        auto const vcpu = bare.core().create_vcpu(cpu(0), **domain, cpu(0), Instant{});
        if (!vcpu) {
            EXPECT_EQ(vcpu.error(), CoreError::no_memory);
        }
        EXPECT_TRUE(bare.core().destroy(cpu(0), **domain, Instant{}).ok());
        for (unsigned const each : {0u, 1u})
            bare.reschedule(cpu(each), Instant{});
        return vcpu.ok();
    }

    Bare bare{arch::MachineShape::regular(1, 2, 1), 1, 2, find_policy(GetParam())};
};

TEST_P(NoMemory, WhatCannotBeMadeLeavesNothingBehind)
{
    std::size_t const before{bare.machine().bytes_in_use()};
    unsigned allocations{0};
    for (bool made = false; !made; ++allocations) {
        bare.machine().allow(allocations);
        made = make_and_end_one();
        ASSERT_EQ(bare.machine().bytes_in_use(), before) << "with memory for " << allocations;
    }
    EXPECT_GT(allocations, 2u) << "nothing ever failed";
}

INSTANTIATE_TEST_SUITE_P(Policies, NoMemory, testing::Values("credit", "null", "numacredit"),
                         [](auto const& instance) { return std::string{instance.param}; });

} // namespace
} // namespace hv::sched
