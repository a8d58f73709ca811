#include "tests/explorer/states.hpp"

#include "tests/explorer/machine.hpp"
#include "tests/explorer/runtime/arena.hpp"
#include "tests/explorer/runtime/run.hpp"

#include <vector>

namespace hv::explorer {

using sched::Vcpu;

namespace {

constexpr unsigned vcpu_count{4};
constexpr std::array soft_masks{7u, 3u, 4u}; // none, node 0, node 1

enum class Does : std::uint8_t { sleeps, waits, runs };

// What there is to say of one vCPU.
struct Kind {
    std::uint8_t hard, soft;
    Does does;
    std::uint8_t on; // sleeps: where it did last
};

using State = std::array<Kind, vcpu_count>;

std::vector<Kind> all_kinds()
{
    std::vector<Kind> kinds;
    for (std::uint8_t hard = 1; hard < 1u << pcpu_count; ++hard)
        for (unsigned const soft : soft_masks)
            for (Does const does : {Does::sleeps, Does::waits, Does::runs}) {
                for (std::uint8_t on = 0; on < pcpu_count; ++on) {
                    if ((hard >> on & 1u) == 0)
                        continue;
                    kinds.push_back({.hard = hard, .soft = static_cast<std::uint8_t>(soft), .does = does, .on = on});
                    if (does == Does::sleeps) // wherever it was: the first will do
                        break;
                }
            }
    return kinds;
}

CpuMask mask_of(unsigned bits)
{
    CpuMask mask;
    for (unsigned i = 0; i < pcpu_count; ++i)
        if ((bits >> i & 1u) != 0)
            mask.set(cpu(i));
    return mask;
}

// No pCPU runs two.
bool is_possible(State const& state)
{
    unsigned taken{0};
    for (Kind const& kind : state) {
        if (kind.does != Does::runs)
            continue;
        if ((taken >> kind.on & 1u) != 0)
            return false;
        taken |= 1u << kind.on;
    }
    return true;
}

std::string text_of(State const& state)
{
    std::string text;
    for (Kind const& kind : state) {
        text += text.empty() ? "" : "; ";
        text += kind.does == Does::sleeps ? "sleeps" : kind.does == Does::waits ? "waits" : "runs";
        text += " on " + std::to_string(kind.on) + ", may use";
        for (unsigned i = 0; i < pcpu_count; ++i)
            text += (kind.hard >> i & 1u) != 0 ? " " + std::to_string(i) : "";
        text += kind.soft == soft_masks[0] ? "" : kind.soft == soft_masks[1] ? ", home 0 1" : ", home 2";
    }
    return text;
}

// The one that is looked at, for a function without arguments.
State const* the_state{nullptr};
Duration longest;

void block(Machine& machine, unsigned on)
{
    Vcpu& current{*machine.core().pool().pcpu(cpu(on)).current};
    if (!current.is_idle())
        static_cast<void>(machine.core().block(cpu(on), current, machine.now()));
}

void wake(Machine& machine, Vcpu& vcpu)
{
    static_cast<void>(machine.core().notify(vcpu.processor(), vcpu, machine.now()));
    machine.serve_all();
}

void expect_conservation(Machine& machine)
{
    if (Duration const waited{machine.check_conservation()}; waited > longest)
        longest = waited;
}

// Each where it shall be: pinned there as long as that takes, those who run first. vcpus[4] and on run on pCPUs where
// no other shall, until the state is complete.
void put_into(Machine& machine, State const& state)
{
    sched::Core& core{machine.core()};
    for (unsigned i = 0; i < vcpu_count; ++i) {
        Vcpu& vcpu{*machine.vcpus.at(i)};
        if (vcpu.processor() != cpu(state.at(i).on) &&
            !core.set_hard_affinity(cpu(0), vcpu, CpuMask::of(cpu(state.at(i).on)), machine.now()))
            run().fail("set_hard_affinity failed");
        vcpu.hard_affinity = CpuMask::of(cpu(state.at(i).on));
    }
    machine.serve_all();
    for (Does const does : {Does::runs, Does::waits}) {
        for (unsigned i = 0; i < vcpu_count; ++i) {
            if (state.at(i).does != does)
                continue;
            if (does == Does::runs) {
                block(machine, state.at(i).on);
                machine.serve_all();
            }
            wake(machine, *machine.vcpus.at(i));
        }
    }
    for (unsigned i = 0; i < vcpu_count; ++i) {
        Vcpu& vcpu{*machine.vcpus.at(i)};
        Kind const& kind{state.at(i)};
        if (vcpu.is_running() != (kind.does == Does::runs) || vcpu.is_runnable() != (kind.does != Does::sleeps) ||
            vcpu.processor() != cpu(kind.on))
            run().fail("the state did not come about");
        vcpu.hard_affinity = mask_of(kind.hard);
        // Also tells the policy that the affinity has changed.
        if (!core.set_soft_affinity(vcpu, mask_of(kind.soft), machine.now()))
            run().fail("set_soft_affinity failed");
    }
}

void look_at_one()
{
    Machine& machine{explorer::machine()};
    put_into(machine, *the_state);
    unsigned busy{0};
    for (Kind const& kind : *the_state)
        busy |= kind.does == Does::runs ? 1u << kind.on : 0u;
    for (unsigned i = 0; i < pcpu_count; ++i)
        if ((busy >> i & 1u) == 0)
            block(machine, i);
    machine.serve_all();
    expect_conservation(machine);
    for (unsigned i = 0; i < vcpu_count; ++i)
        if (the_state->at(i).does == Does::sleeps) {
            wake(machine, *machine.vcpus.at(i));
            expect_conservation(machine);
        }
    for (unsigned i = 0; i < pcpu_count; ++i) {
        Vcpu& current{*machine.core().pool().pcpu(cpu(i)).current};
        if (current.is_idle())
            continue;
        block(machine, i);
        machine.serve_all();
        expect_conservation(machine);
        wake(machine, current);
        expect_conservation(machine);
    }
    machine.check_states();
}

// busy: all pCPUs have been, for long.
void make_machine(sched::PolicyOps const& policy, bool busy)
{
    Machine& machine{Machine::make(policy)};
    sched::Domain& domain{machine.domain(1)};
    for (unsigned i = 0; i < vcpu_count; ++i) {
        machine.vcpus.at(i) = &machine.vcpu(domain, 0);
        machine.start(*machine.vcpus.at(i), true);
    }
    std::array<Vcpu*, pcpu_count> others{};
    for (unsigned i = 0; i < pcpu_count; ++i)
        machine.start(*(others[i] = &machine.vcpu(domain, i, {i})));
    if (busy)
        machine.pass(Duration::from_ms(600));
    for (unsigned i = 0; i < pcpu_count; ++i) {
        block(machine, i);
        machine.serve_all();
        wake(machine, *others[i]);
    }
    arena().keep(); // no time passes: who runs goes on for as long as the rate limit lets it
}

} // namespace

StateTally look_at_states(sched::PolicyOps const& policy, bool busy, std::uint64_t stride, std::uint64_t first)
{
    make_machine(policy, busy);
    std::vector<Kind> const kinds{all_kinds()};
    StateTally tally;
    longest = {};
    std::uint64_t number{0};
    std::array<std::size_t, vcpu_count> at{};
    while (true) {
        State state;
        for (unsigned i = 0; i < vcpu_count; ++i)
            state[i] = kinds[at[i]];
        if (is_possible(state) && number++ % stride == first % stride) {
            arena().restore();
            the_state = &state;
            ++tally.states;
            if (run().execute_alone(look_at_one) == End::found) {
                tally.finding = run().found() + "; the state: " + text_of(state);
                return tally;
            }
        }
        // The next one in which they do not descend: the others are the same with other names.
        unsigned last{vcpu_count};
        while (last > 0 && at[last - 1] + 1 == kinds.size())
            --last;
        if (last == 0)
            break;
        std::size_t const next{at[last - 1] + 1};
        for (unsigned i = last - 1; i < vcpu_count; ++i)
            at[i] = next;
    }
    tally.longest = longest;
    return tally;
}

} // namespace hv::explorer
