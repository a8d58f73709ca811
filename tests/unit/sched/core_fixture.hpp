// A machine under the puppet policy, and the few things that tests of the core do to it.
#pragma once

#include "tests/support/sim_fixture.hpp"
#include "tests/unit/sched/puppet_policy.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace hv::sched::test {

class CoreTest : public testing::Test {
protected:
    // A machine lives as long as its scheduler and destroys nothing; the puppet, unlike a policy, has vectors.
    ~CoreTest() override { std::destroy_at(&puppet); }

    Sim sim{3, {.policy = &puppet_ops}};
    Puppet& puppet{sim.policy<Puppet>()};

    void block(Vcpu& vcpu)
    {
        sim.on(vcpu.processor().value(),
               [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().block(self, vcpu, now)); });
    }
    void pause(Vcpu& vcpu)
    {
        sim.on(2, [&](CpuId self, Instant now) { sim.core().pause_nosync(self, vcpu, now); });
    }
    void unpause(Vcpu& vcpu)
    {
        sim.on(2, [&](CpuId self, Instant now) { sim.core().unpause(self, vcpu, now); });
    }
    bool set_hard(Vcpu& vcpu, CpuMask const& mask)
    {
        bool ok{false};
        sim.on(0, [&](CpuId self, Instant now) { ok = sim.core().set_hard_affinity(self, vcpu, mask, now).ok(); });
        return ok;
    }
};

} // namespace hv::sched::test
