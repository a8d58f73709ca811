// The tracer in a whole scheduler: whose ring, which events, in what order, and how the trace ends.
#include "sched/trace/tracer.hpp"

#include "tests/support/sim_fixture.hpp"
#include "tests/unit/trace/test_ring.hpp"

#include <vector>

namespace hv::sched::trace {
namespace {

// --- tracer, listener

using test::cpu;
using test::Sim;

TEST(Tracer, WritesToTheRingOfThePcpuThatExecutes)
{
    Sim sim{2, {.trace_bytes_per_pcpu = 1 << 14}};
    std::uint64_t const before0{sim.system().tracer().ring(cpu(0)).control()->head};
    std::uint64_t const before1{sim.system().tracer().ring(cpu(1)).control()->head};
    sim.on(1, [&](CpuId self, Instant now) { sim.system().tracer().emit(self, now, Event::tick, 5); });
    EXPECT_EQ(sim.system().tracer().ring(cpu(0)).control()->head, before0);
    EXPECT_EQ(sim.system().tracer().ring(cpu(1)).control()->head, before1 + record_bytes(1));
}

TEST(Tracer, MaskAppliesToRingAndListener)
{
    Sim sim{1, {.trace_bytes_per_pcpu = 1 << 14, .trace_mask = 0x00021000}};
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    sim.run(test::ms(100));
    EXPECT_FALSE(sim.heard().empty());
    for (Sim::Heard const& heard : sim.heard())
        EXPECT_EQ(heard.number & 0xfffff000, 0x00021000u) << std::hex << heard.number;
    Ring const& ring{sim.system().tracer().ring(cpu(0))};
    auto const records = decode(ring.memory().first(ring.control()->head));
    EXPECT_FALSE(records.empty());
    for (Record const& record : records)
        EXPECT_EQ(record.number & 0xfffff000, 0x00021000u);
}

TEST(Tracer, TheListenerHearsWithoutAnyRing)
{
    Sim sim{1};
    EXPECT_TRUE(sim.system().tracer().ring(cpu(0)).memory().empty());
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    auto const switches = sim.heard_of(Event::switch_to);
    ASSERT_EQ(switches.size(), 1u);
    EXPECT_EQ(switches[0].words, (std::vector<std::uint32_t>{idle_domain_id.value(), 0, vcpu.domain.id.value(), 0}));
}

TEST(Tracer, StampsOfOnePcpuStrictlyIncrease)
{
    Sim sim{1, {.trace_bytes_per_pcpu = 1 << 16}};
    Domain& domain{sim.domain()};
    sim.start(sim.hog(domain, 0));
    sim.start(sim.hog(domain, 0));
    sim.run(test::ms(500));
    Ring const& ring{sim.system().tracer().ring(cpu(0))};
    ASSERT_EQ(ring.control()->lost_total, 0u);
    std::uint64_t last{0};
    for (Record const& record : decode(ring.memory().first(ring.control()->head))) {
        EXPECT_GT(record.stamp, last);
        last = record.stamp;
    }
    EXPECT_GT(last, 400'000'000u);
}

// Lost-record accounting of readers relies on it: between the switch and the two run states nothing else is recorded.
TEST(Tracer, NothingComesBetweenASwitchAndItsRunStates)
{
    Sim sim{2};
    Domain& domain{sim.domain()};
    for (int i = 0; i < 4; ++i)
        sim.start(sim.guest(domain, 0, test::burst(test::us(300), test::ms(3), test::us(100), test::ms(2))));
    sim.run(test::ms(200));
    auto const& heard = sim.heard();
    int switches{0};
    for (std::size_t i = 0; i + 2 < heard.size(); ++i) {
        if (heard[i].number != static_cast<std::uint32_t>(Event::switch_to))
            continue;
        ++switches;
        EXPECT_EQ(heard[i - 1].number, static_cast<std::uint32_t>(Event::switch_infnext));
        EXPECT_EQ(heard[i - 2].number, static_cast<std::uint32_t>(Event::switch_infprev));
        auto const out = decode_runstate(heard[i + 1].number);
        auto const in = decode_runstate(heard[i + 2].number);
        ASSERT_TRUE(out && in);
        EXPECT_EQ(out->from, RunStateCode::running);
        EXPECT_EQ(in->to, RunStateCode::running);
    }
    EXPECT_GT(switches, 50);
}

TEST(Tracer, ClosingTakesEveryVcpuOffline)
{
    Sim sim{2};
    Vcpu& running{sim.vcpu(0)};
    Vcpu& asleep{sim.vcpu(1)};
    sim.start(running);
    sim.start(asleep, true);
    sim.run(test::ms(5));
    sim.core().close_trace(CpuId{0}, sim.now());
    EXPECT_EQ(running.run_state.state, RunState::offline);
    EXPECT_EQ(asleep.run_state.state, RunState::offline);
    EXPECT_EQ(sim.pool().pcpu(cpu(1)).idle->run_state.state, RunState::offline);
    EXPECT_EQ(running.run_state.spent[static_cast<unsigned>(RunState::running)], test::ms(5));
}

} // namespace
} // namespace hv::sched::trace
