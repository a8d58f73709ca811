// Tasks: switching between them in task code, inside the reschedule up-call, and across pCPUs.
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/context.hpp"
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/stacks.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

namespace hv::test {
namespace {

struct Pair {
    arch::Context main, task;
    unsigned volatile steps{0};
    CpuId ran_on[2]{};
    unsigned irqs_on{0};
};

// Gives the pCPU back after each step, for ever.
void step_and_return(void* argument)
{
    Pair& pair{*static_cast<Pair*>(argument)};
    for (;;) {
        pair.irqs_on += arch::irqs_are_off() ? 0u : 1u;
        pair.ran_on[pair.steps % 2] = arch::this_cpu();
        pair.steps = pair.steps + 1;
        arch::switch_to(pair.task, pair.main);
    }
}

void switch_to_task(void* argument)
{
    Pair& pair{*static_cast<Pair*>(argument)};
    arch::switch_to(pair.main, pair.task);
}

} // namespace

HV_SELFTEST(context_switch_there_and_back)
{
    Result<arch::Stack, arch::StackError> const stack{arch::allocate_stack(arch::this_percpu().node)};
    HV_CHECK(stack.ok());
    Pair pair;
    arch::prepare(pair.task, stack->top(), step_and_return, &pair);
    for (unsigned i = 1; i <= 3; ++i) {
        {
            arch::IrqSave const irqs;
            switch_to_task(&pair);
        }
        HV_CHECK(pair.steps == i);
    }
    HV_CHECK(pair.irqs_on == 0);
    arch::release_stack(*stack);
}

HV_SELFTEST(context_switch_inside_the_reschedule_up_call)
{
    Result<arch::Stack, arch::StackError> const stack{arch::allocate_stack(arch::this_percpu().node)};
    HV_CHECK(stack.ok());
    Pair pair;
    arch::prepare(pair.task, stack->top(), step_and_return, &pair);
    arch::UpCalls const calls{.self = &pair,
                              .timer =
                                  [](void*, CpuId cpu, TimerId timer, Instant) {
                                      if (timer != alarm_timer)
                                          arch::ask_to_reschedule(cpu);
                                  },
                              .reschedule = [](void* self, CpuId, Instant) { switch_to_task(self); }};
    UpCallsScope const scope{calls};
    // The interrupt finds this code in the middle of things; everything must be as it was when it continues.
    arch::timer_arm(arch::this_cpu(), TimerId{1}, arch::clock_now() + Duration::from_us(200));
    std::uint64_t a{1}, b{2}, c{3};
    for (unsigned turns = 0; pair.steps == 0 && turns < 100'000'000; ++turns) {
        asm volatile("pause" : "+r"(a), "+r"(b), "+r"(c));
        ++a;
        b += 2;
        c += 3;
    }
    HV_CHECK(pair.steps == 1);
    HV_CHECK(b - 2 == 2 * (a - 1) && c - 3 == 3 * (a - 1));
    HV_CHECK(!arch::irqs_are_off());
    HV_CHECK(pair.irqs_on == 0);
    arch::release_stack(*stack);
}

HV_SELFTEST(context_of_a_task_continues_on_another_pcpu)
{
    if (pcpus_up() == 1)
        HV_SKIP("one pCPU");
    Result<arch::Stack, arch::StackError> const stack{arch::allocate_stack(arch::this_percpu().node)};
    HV_CHECK(stack.ok());
    Pair pair;
    arch::prepare(pair.task, stack->top(), step_and_return, &pair);
    arch::call_on(arch::this_cpu(), switch_to_task, &pair);
    arch::call_on(other_cpu(), switch_to_task, &pair);
    HV_CHECK(pair.steps == 2);
    HV_CHECK(pair.ran_on[0] == arch::this_cpu());
    HV_CHECK(pair.ran_on[1] == other_cpu());
    arch::release_stack(*stack);
}

HV_SELFTEST(context_stacks_are_on_their_node_and_reused)
{
    NodeId const node{arch::this_percpu().node};
    Result<arch::Stack, arch::StackError> const first{arch::allocate_stack(node)};
    Result<arch::Stack, arch::StackError> const second{arch::allocate_stack(node)};
    HV_CHECK(first.ok() && second.ok() && first->bottom != second->bottom);
    HV_CHECK(arch::is_on_a_stack(first->bottom) && arch::is_on_a_stack(first->top() - 1));
    HV_CHECK(arch::is_stack_guard(first->bottom - 1) && !arch::is_on_a_stack(first->bottom - 1));
    arch::release_stack(*first);
    Result<arch::Stack, arch::StackError> const again{arch::allocate_stack(node)};
    HV_CHECK(again.ok() && again->bottom == first->bottom);
    arch::release_stack(*again);
    arch::release_stack(*second);
}

} // namespace hv::test
