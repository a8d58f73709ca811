// Many VMs that come, pause and go at random times, whatever they are doing: none is left running, and their pages come
// back.
#include "arch/x86_64/console.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/vm_machine.hpp"

#include <array>

namespace hv::test {
namespace {

using sched::guest::Workload;
using sched::guest::WorkloadKind;

class Dice {
public:
    explicit Dice(std::uint64_t seed) : random_{seed, DomainId{1}, VcpuIndex{0}} {}
    // 0 to below `sides`.
    [[nodiscard]] std::uint32_t roll(std::uint32_t sides)
    {
        return static_cast<std::uint32_t>(random_.between({}, Duration::from_ns(sides - 1)).ns());
    }

private:
    sched::guest::Random random_;
};

Workload any_workload(Dice& dice)
{
    constexpr WorkloadKind kinds[]{WorkloadKind::hog, WorkloadKind::burst, WorkloadKind::periodic,
                                   WorkloadKind::pingpong, WorkloadKind::gridsleep};
    Duration const run{Duration::from_us(100 + dice.roll(900))};
    return {.kind = kinds[dice.roll(std::size(kinds))],
            .run_min = run,
            .run_max = run,
            .block_min = run,
            .block_max = run * 3,
            .period = run * 4,
            .phase = run,
            .grid = run * 8,
            .guard = run,
            .partner = {},
            .has_token = false,
            .steps = {}};
}

struct Storm {
    static constexpr std::size_t places = 8;

    VmTestMachine& vms;
    Dice dice;
    std::array<boot::Vm*, places> alive{};
    unsigned made{0}, destroyed{0};

    bool make(std::size_t place)
    {
        std::array<char, 4> const name{'v', 'm', static_cast<char>('0' + place), 0};
        CpuMask cpus{CpuMask::first_n(pcpus_up())};
        cpus.clear(CpuId{0});
        if (dice.roll(3) == 0)
            cpus = CpuMask::of(CpuId{static_cast<CpuId::Rep>(1 + dice.roll(pcpus_up() - 1))});
        auto const vm = boot::create_vm(*vms, {.name = {name.data(), 3},
                                               .vcpus = 2 * (1 + dice.roll(2)),
                                               .memory_mib = dice.roll(4),
                                               .cpus = cpus,
                                               .workload = any_workload(dice)});
        alive[place] = vm ? *vm : nullptr;
        made += vm ? 1u : 0u;
        return vm.ok();
    }
    bool destroy(std::size_t place)
    {
        bool const gone{boot::destroy_vm(*vms, alive[place]->domain.id).ok()};
        alive[place] = nullptr;
        ++destroyed;
        return gone;
    }
    bool pause_or_unpause(std::size_t place)
    {
        DomainId const id{alive[place]->domain.id};
        return alive[place]->pauses == 0 ? boot::pause_vm(*vms, id).ok() : boot::unpause_vm(*vms, id).ok();
    }

    // Until so many have gone.
    bool rage(unsigned count)
    {
        bool right{true};
        while (destroyed < count && right) {
            std::size_t const place{dice.roll(places)};
            if (alive[place] == nullptr)
                right = make(place);
            else if (dice.roll(3) == 0)
                right = pause_or_unpause(place);
            else
                right = destroy(place);
            static_cast<void>(wait_until([] { return false; }, Duration::from_us(dice.roll(200))));
        }
        for (std::size_t place = 0; place < places; ++place)
            if (alive[place] != nullptr)
                right = destroy(place) && right;
        return right;
    }
};

std::array<std::uint64_t, NodeMask::capacity> all_free_pages()
{
    std::array<std::uint64_t, NodeMask::capacity> free{};
    for (NodeId const node : pages().usable())
        free[node.value()] = free_pages(node);
    return free;
}

} // namespace

HV_SELFTEST(vm_many_come_and_go)
{
    if (pcpus_up() < 2)
        HV_SKIP("one pCPU");
    if (!is_asked_for("vm_many"))
        HV_SKIP("takes seconds: only when asked for by name");
    constexpr unsigned count = 40;
    VmTestMachine vms{1};
    // The first two times, stacks and small memory grow to what they need.
    for (unsigned round = 0; round < 3; ++round) {
        auto const before = all_free_pages();
        Storm storm{.vms = vms, .dice = Dice{17}};
        HV_CHECK(storm.rage(count));
        HV_CHECK(storm.made == storm.destroyed && storm.made >= count);
        HV_CHECK((*vms).vms.empty());
        arch::say("# {} VMs came and went", storm.destroyed);
        // Times differ, so that stacks or timers of a pCPU may be one more than ever before; what a VM, a vCPU or a
        // domain loses would be forty times as much.
        constexpr std::uint64_t growth = 8;
        auto const after = all_free_pages();
        for (NodeId const node : pages().usable())
            HV_CHECK(round < 2 || after[node.value()] + growth >= before[node.value()]);
    }
}

} // namespace hv::test
