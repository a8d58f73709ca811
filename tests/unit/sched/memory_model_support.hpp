// What the tests of the memory cost model share: its default parameters and where memory lies. Two nodes. Stateless.
// Floor: tests.
#pragma once

#include "sched/guest/memory_model.hpp"
#include "tests/support/sim_fixture.hpp"

namespace hv::sched::guest::test {

[[nodiscard]] inline ModelParams const& params() { return named_models().front().params; }

// Without queueing: a pace then depends on the class, the node and the sibling only.
[[nodiscard]] inline ModelParams quiet(ModelParams p)
{
    p.queueing_permille = 0;
    return p;
}

[[nodiscard]] inline MemoryShares on(unsigned n) { return MemoryShares::striped(NodeMask::of(sched::test::node(n))); }
[[nodiscard]] inline MemoryShares striped() { return MemoryShares::striped(NodeMask::first_n(2)); }

} // namespace hv::sched::guest::test
