// What a storm's control threads do to pools: pCPUs leave theirs for good and come into another one, domains move, and
// a pool comes and goes.
#include "tests/stress/storm.hpp"

#include <gtest/gtest.h>

namespace hv::test {

using sched::CoreError;

// One of another policy from the beginning, without a pCPU.
void Storm::make_second_pool(std::string_view first_policy)
{
    auto const made =
        core().create_pool(*sched::find_policy(first_policy == "credit" ? "numacredit" : "credit"), "second");
    HV_ASSERT(made.ok());
    second_pool_ = *made;
    static_cast<void>(sched::Core::set_policy_param(*core().find_pool(*made), "tslice_ms", 3));
}

PoolId Storm::some_pool(std::uint64_t draw) const
{
    PoolId const pools[]{{}, second_pool_, third_pool_.load(std::memory_order_relaxed)};
    return pools[draw % 3];
}

void Storm::move_pools(CpuId self, std::uint64_t draw, Instant now)
{
    if (draw % 8 == 0) {
        make_or_end_third_pool(self, draw / 8, now);
        return;
    }
    auto const moved = core().move_domain(self, *domains_[draw / 8 % domains_.size()], some_pool(draw / 64), now);
    if (moved)
        note(self, Happening::moves);
    else // no pCPU is there; it moves already; the pool has gone
        EXPECT_TRUE(moved.error() == CoreError::no_pcpu || moved.error() == CoreError::busy ||
                    moved.error() == CoreError::ending);
}

void Storm::make_or_end_third_pool(CpuId self, std::uint64_t draw, Instant now)
{
    constexpr std::array<std::string_view, 3> policies{"null", "credit", "numacredit"};
    if (PoolId const third{third_pool_.load(std::memory_order_relaxed)}; third != PoolId{}) {
        static_cast<void>(system_->destroy_pool(self, third, now)); // may have domains
        third_pool_.store(PoolId{}, std::memory_order_relaxed);
        return;
    }
    // A pool of this name that could not be ended is taken over.
    auto const made = core().create_pool(*sched::find_policy(policies[draw % policies.size()]), "third");
    sched::Pool* const pool{made ? nullptr : core().find_pool("third")};
    if (made || pool != nullptr)
        third_pool_.store(made ? *made : pool->id(), std::memory_order_relaxed);
}

} // namespace hv::test
