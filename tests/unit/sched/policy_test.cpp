#include "sched/policy.hpp"

#include "tests/support/sim_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

namespace hv::sched {
namespace {

using test::cpu;
using test::ms;
using test::Sim;

// The hooks that every policy must have; the two below leave one out and change one.
class Complete {
public:
    static constexpr std::string_view name{"complete"};
    explicit Complete(Pool& pool) : pool_{pool} {}
    Decision schedule(CpuId self, Vcpu&, Instant, bool) noexcept
    {
        return {.next = pool_.pcpu(self).idle, .slice = {}};
    }
    WakeDecision wake(CpuId, Vcpu& vcpu, Instant) noexcept { return {.queue_on = vcpu.processor(), .tickle = {}}; }
    void enqueue(CpuId, Vcpu&, Instant) noexcept {}
    void sleep(CpuId, Vcpu&, Instant) noexcept {}
    CpuId pick_cpu(CpuId, Vcpu& vcpu, Instant) noexcept { return vcpu.processor(); }

private:
    Pool& pool_;
};
static_assert(Policy<Complete>);

class WithoutSchedule {
public:
    static constexpr std::string_view name{"without schedule"};
    explicit WithoutSchedule(Pool&) {}
    WakeDecision wake(CpuId, Vcpu& vcpu, Instant) noexcept { return {.queue_on = vcpu.processor(), .tickle = {}}; }
    void enqueue(CpuId, Vcpu&, Instant) noexcept {}
    void sleep(CpuId, Vcpu&, Instant) noexcept {}
    CpuId pick_cpu(CpuId, Vcpu& vcpu, Instant) noexcept { return vcpu.processor(); }
};
static_assert(!Policy<WithoutSchedule>);

class ThrowingPick : public Complete {
public:
    using Complete::Complete;
    CpuId pick_cpu(CpuId, Vcpu& vcpu, Instant) { return vcpu.processor(); } // not noexcept
};
static_assert(!Policy<ThrowingPick>);

// A policy that this file alone knows: the most recently woken first, on the pCPU where it was put. It has a tick, and
// no other optional hook.
struct StackTag;

class Stack {
public:
    static constexpr std::string_view name{"test-stack"};

    struct VcpuData : ListNode<StackTag> {
        explicit VcpuData(Vcpu& owner) : vcpu{owner} {}
        Vcpu& vcpu;
    };
    struct PcpuData {
        explicit PcpuData(Pcpu&) {}
        List<VcpuData, StackTag> waiting;
    };

    explicit Stack(Pool& pool) : pool_{pool} {}

    Decision schedule(CpuId self, Vcpu& current, Instant, bool force_idle) noexcept
    {
        if (!current.is_idle() && current.is_runnable())
            waiting(self).push_back(data(current));
        VcpuData* const first{force_idle ? nullptr : waiting(self).pop_front()};
        if (first == nullptr)
            return {.next = pool_.pcpu(self).idle, .slice = std::nullopt};
        return {.next = &first->vcpu, .slice = ms(5)};
    }
    WakeDecision wake(CpuId, Vcpu& vcpu, Instant) noexcept
    {
        return {
            .queue_on = vcpu.processor(), .queue = !data(vcpu).is_linked(), .tickle = CpuMask::of(vcpu.processor())};
    }
    void enqueue(CpuId, Vcpu& vcpu, Instant) noexcept { waiting(vcpu.processor()).push_front(data(vcpu)); }
    void sleep(CpuId, Vcpu& vcpu, Instant) noexcept
    {
        if (data(vcpu).is_linked())
            waiting(vcpu.processor()).erase(data(vcpu));
    }
    CpuId pick_cpu(CpuId, Vcpu& vcpu, Instant) noexcept
    {
        CpuMask const allowed{vcpu.hard_affinity & pool_.members()};
        return allowed.test(vcpu.processor()) ? vcpu.processor() : allowed.cycle(vcpu.processor());
    }
    void pcpu_joins(CpuId self, Instant now) noexcept { pool_.env().arm(self, timer::tick, now + ms(1)); }
    bool tick(CpuId self, Vcpu&, Instant now) noexcept
    {
        ++ticks;
        pool_.env().arm(self, timer::tick, now + ms(1));
        return false;
    }
    void tick_resumes(CpuId self, Instant now) noexcept { pool_.env().arm(self, timer::tick, now + ms(1)); }

    int ticks{0};

private:
    static VcpuData& data(Vcpu& vcpu) { return *static_cast<VcpuData*>(vcpu.policy_data); }
    List<VcpuData, StackTag>& waiting(CpuId c) { return static_cast<PcpuData*>(pool_.pcpu(c).policy_data)->waiting; }

    Pool& pool_;
};
HV_REGISTER_POLICY(Stack);

TEST(PolicyRegistry, FindsPoliciesOfOtherFilesByName)
{
    for (std::string_view const name : {"credit", "null", "test-stack"}) {
        PolicyOps const* const ops{find_policy(name)};
        ASSERT_NE(ops, nullptr) << name;
        EXPECT_EQ(ops->name, name);
    }
    EXPECT_EQ(find_policy("no such policy"), nullptr);
    EXPECT_EQ(find_policy(""), nullptr);
    EXPECT_EQ(find_policy("complete"), nullptr) << "a policy that was not registered";
}

TEST(PolicyRegistry, ListsEachNameOnceInAlphabeticalOrder)
{
    std::vector<std::string> names;
    for (PolicyOps const* ops : policies())
        names.emplace_back(ops->name);
    std::ranges::sort(names);
    EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
    std::string expected;
    for (std::string const& name : names)
        expected += (expected.empty() ? "" : ", ") + name;
    std::array<char, 512> buffer{};
    BufferSink sink{buffer};
    list_policies(sink);
    EXPECT_EQ(sink.text(), expected);
}

TEST(PolicyOps, HooksThatAPolicyDoesNotHaveAreNull)
{
    PolicyOps const& null{*find_policy("null")};
    EXPECT_EQ(null.tick, nullptr);
    EXPECT_EQ(null.account, nullptr);
    EXPECT_EQ(null.yield, nullptr);
    EXPECT_EQ(null.set_param, nullptr);
    EXPECT_FALSE(null.has_credit);
    PolicyOps const& credit{*find_policy("credit")};
    EXPECT_NE(credit.tick, nullptr);
    EXPECT_NE(credit.account, nullptr);
    EXPECT_NE(credit.set_param, nullptr);
    EXPECT_TRUE(credit.has_credit);
    PolicyOps const& stack{*find_policy("test-stack")};
    EXPECT_NE(stack.tick, nullptr);
    EXPECT_EQ(stack.account, nullptr);
}

TEST(PolicyOps, StorageIsThatOfTheDeclaredTypesOrNone)
{
    PolicyOps const& stack{*find_policy("test-stack")};
    EXPECT_EQ(stack.vcpu.size, sizeof(Stack::VcpuData));
    EXPECT_EQ(stack.pcpu.size, sizeof(Stack::PcpuData));
    EXPECT_EQ(stack.domain.size, 0u);
    static constexpr PolicyOps complete{make_ops<Complete>()};
    EXPECT_EQ(complete.vcpu.size, 0u);
    EXPECT_EQ(complete.self.size, sizeof(Complete));
}

// The most recently woken goes first: its order could come from no other policy.
TEST(PolicyRegistry, APolicyOfThisFileSchedulesAMachine)
{
    Sim sim{1, {.policy = find_policy("test-stack")}};
    Vcpu& first{sim.vcpu(0)};
    Vcpu& second{sim.vcpu(0)};
    Vcpu& third{sim.vcpu(0)};
    sim.on(0, [&](CpuId self, Instant now) {
        for (Vcpu* vcpu : {&first, &second, &third})
            sim.core().start(self, *vcpu, false, now);
    });
    EXPECT_EQ(&sim.current(0), &third);
    sim.run(ms(5));
    EXPECT_EQ(&sim.current(0), &second);
    sim.run(ms(5));
    EXPECT_EQ(&sim.current(0), &first);
    sim.run(ms(5));
    EXPECT_EQ(&sim.current(0), &third);
    EXPECT_EQ(sim.policy<Stack>().ticks, 15);
}

TEST(PolicyWithoutParameters, RefusesAnySetting)
{
    Sim sim{1, {.policy = find_policy("null")}};
    auto const set = sim.core().set_policy_param("tslice_ms", 10);
    ASSERT_FALSE(set.ok());
    EXPECT_EQ(set.error().text, "this policy has no parameters");
}

TEST(NullPolicy, SharesAPcpuFirstComeFirstServedInTurnsOfTenMilliseconds)
{
    Sim sim{1, {.policy = find_policy("null")}};
    Domain& domain{sim.domain()};
    std::array const hogs{&sim.hog(domain, 0), &sim.hog(domain, 0), &sim.hog(domain, 0)};
    for (guest::Guest* hog : hogs)
        sim.start(*hog);
    for (int turn = 0; turn < 6; ++turn) {
        EXPECT_EQ(&sim.current(0), &hogs[static_cast<std::size_t>(turn) % 3]->vcpu) << turn;
        sim.run(ms(10));
    }
}

TEST(NullPolicy, NeverMovesAVcpuToAnIdlePcpu)
{
    Sim sim{2, {.policy = find_policy("null")}};
    Domain& domain{sim.domain()};
    sim.start(sim.hog(domain, 0));
    sim.start(sim.hog(domain, 0));
    sim.run(ms(200));
    EXPECT_TRUE(sim.idles(1));
    EXPECT_EQ(sim.spent(*sim.pool().pcpu(cpu(1)).idle, RunState::running), ms(200));
}

} // namespace
} // namespace hv::sched
