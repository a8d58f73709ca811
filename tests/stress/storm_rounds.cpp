#include "tests/stress/storm.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace hv::test {

using sched::PauseFlag;
using sched::RunState;
using sched::Vcpu;
using sched::guest::Workload;
using sched::guest::WorkloadKind;

namespace {

[[nodiscard]] bool is_paused(Vcpu const& vcpu) { return vcpu.pause_count.load() != 0; }

Workload some_workload(unsigned index, std::uint64_t draw)
{
    Workload work{};
    work.run_min = Duration::from_us(50);
    work.run_max = Duration::from_us(2'000);
    work.block_min = Duration::from_us(50);
    work.block_max = Duration::from_us(3'000);
    constexpr std::array kinds{WorkloadKind::burst, WorkloadKind::hog, WorkloadKind::periodic, WorkloadKind::burst,
                               WorkloadKind::gridsleep};
    work.kind = index < 2 ? WorkloadKind::pingpong : kinds[draw % kinds.size()];
    work.period = Duration::from_us(3'000);
    work.phase = Duration::from_us(static_cast<std::int64_t>(draw % 3'000));
    work.grid = Duration::from_us(4'000);
    work.guard = Duration::from_us(300);
    work.partner = VcpuIndex{static_cast<VcpuIndex::Rep>(index ^ 1)};
    work.has_token = index == 0;
    return work;
}

} // namespace

// --- building

Storm::Storm(sched::PolicyOps const& policy, StormShape const& shape, std::uint64_t seed)
    : shape_{arch::MachineShape::regular(shape.nodes, shape.cores, shape.threads), shape.nodes},
      machine_{shape_, {.seed = seed, .trace_bytes_per_pcpu = 1u << 16}}, tallies_(shape_.topology().pcpus.size()),
      random_{seed}
{
    std::uint32_t guests{0};
    for (unsigned const vcpus : shape.vcpus_by_domain)
        guests += vcpus;
    sched::SystemConfig const config{.policy = &policy,
                                     .guest_limit = guests + Mortals::slot_count * 2 * Mortals::most_vcpus,
                                     .driver = sched::guest::Driver::tasks,
                                     .context_switch = {}};
    auto const made = sched::System::create(machine_.env(), config);
    HV_ASSERT(made.ok());
    system_ = *made;
    // Short slices, so that much happens; a policy without this parameter has its own.
    static_cast<void>(core().set_policy_param("tslice_ms", 3));
    static_cast<void>(core().set_policy_param("ratelimit_us", seed % 2 == 0 ? 0 : 200));
    system_->tracer().set_listener({.self = this,
                                    .event = [](void* self, CpuId on, Instant, std::uint32_t number,
                                                std::span<std::uint32_t const> words) noexcept {
                                        static_cast<Storm*>(self)->heard(on, number, words);
                                    }});
    make_second_pool(policy.name);
    make_idle_contexts();
    mortals_.attach(*system_);
    machine_.start(*this);
    for (unsigned i = 0; i < pcpu_count(); ++i)
        machine_.call(some_pcpu(i), [this](CpuId self, Instant now) { system_->pcpu_up(self, now); });
    machine_.call(CpuId{0}, [&](CpuId, Instant) { make_guests(shape, random_); });
    machine_.stop();
    bytes_at_rest_ = bytes_in_use();
}

Storm::~Storm() { machine_.stop(); }

void Storm::make_idle_contexts()
{
    for (unsigned i = 0; i < pcpu_count(); ++i) {
        Context& idle{*idle_contexts_.emplace_back(std::make_unique<Context>())};
        CpuId const cpu{static_cast<CpuId::Rep>(i)};
        idle.vcpu = core().pool().pcpu(cpu).idle;
        idle.vcpu->context = &idle;
        idle.runs_on = cpu.value();
        core().pool().pcpu(cpu).current = idle.vcpu; // until pcpu_up the machine has something to go on with
    }
}

// On pCPU 0. Each guest starts by a timer of a pCPU drawn at random.
void Storm::make_guests(StormShape const& shape, Random& random)
{
    Instant const now{machine_.now()};
    for (unsigned const vcpus : shape.vcpus_by_domain) {
        auto const domain = core().create_domain(DomainId{static_cast<DomainId::Rep>(domains_.size() + 1)});
        HV_ASSERT(domain.ok());
        domains_.push_back(*domain);
        first_of_domain_.push_back(contexts_.size());
        for (unsigned index = 0; index < vcpus; ++index) {
            auto const vcpu = core().create_vcpu(CpuId{0}, **domain, some_pcpu(random()), now);
            HV_ASSERT(vcpu.ok());
            Context& context{*contexts_.emplace_back(std::make_unique<Context>())};
            context.vcpu = *vcpu;
            (*vcpu)->context = &context;
            sched::guest::Guest* const guest{system_->guests().add(**vcpu, some_workload(index, random()), random())};
            HV_ASSERT(guest != nullptr);
        }
    }
    for (sched::guest::Guest* const guest : system_->guests().all())
        system_->guests().start_at(some_pcpu(random()), *guest, now);
}

// --- rounds

// What does not come in a minute does not come: then says so and ends the process, for the threads cannot be trusted to
// end.
template <typename Condition>
void Storm::wait_until(char const* what, Condition condition)
{
    auto const patience = Clock::now() + std::chrono::minutes{1};
    while (!condition()) {
        if (Clock::now() > patience) {
            std::fprintf(stderr, "storm: waited in vain until %s\n", what);
            for (auto const& context : contexts_) {
                Vcpu const& vcpu{*context->vcpu};
                std::fprintf(stderr, "  domain %u vCPU %u: processor %u running %d flags %#x pauses %u progress %lu\n",
                             vcpu.domain.id.value(), vcpu.index.value(), vcpu.processor().value(), vcpu.is_running(),
                             vcpu.pause_flags.load(), vcpu.pause_count.load(), context->progress.load());
            }
            std::abort();
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
}

void Storm::round(Clock::duration time)
{
    machine_.start(*this);
    raging_.store(true, std::memory_order_relaxed);
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < controllers; ++i)
        threads.emplace_back([this, seed = random_()] { control(seed); });
    std::this_thread::sleep_for(time);
    raging_.store(false, std::memory_order_relaxed);
    for (std::thread& thread : threads)
        thread.join();
    settle();
    expect_everybody_goes_on();
    expect_the_notified_to_wake();
    expect_nothing_left_of_the_dead();
    machine_.stop();
    expect_good_order();
}

void Storm::play(std::uint64_t often)
{
    std::vector<std::uint64_t> before;
    for (auto const& context : contexts_)
        before.push_back(context->progress.load(std::memory_order_relaxed));
    machine_.start(*this);
    for (std::size_t i = 0; i < contexts_.size(); ++i)
        wait_until("every game goes on",
                   [&] { return contexts_[i]->progress.load(std::memory_order_relaxed) > before[i] + often; });
    machine_.stop();
    expect_good_order();
}

// Nothing here may mend what the storm broke: no vCPU is woken, moved or paused. Caps go, so that nobody stays parked.
void Storm::settle()
{
    wait_until("all disturbances are done",
               [&] { return posted_.load(std::memory_order_relaxed) == done_.load(std::memory_order_relaxed); });
    machine_.call(CpuId{0}, [&](CpuId, Instant) {
        for (sched::Domain* const domain : domains_)
            core().set_params(*domain, {});
    });
    wait_until("all pCPUs have joined and have no idle work", [&] {
        for (unsigned i = 0; i < pcpu_count(); ++i)
            if (core().pool().pcpu(CpuId{static_cast<CpuId::Rep>(i)}).idle_work.load() != 0)
                return false;
        return core().in_pools().snapshot().count() == pcpu_count();
    });
    wait_until("nobody is paused", [&] {
        return std::ranges::none_of(contexts_, [](auto const& context) { return is_paused(*context->vcpu); });
    });
}

// Each one is seen to run, or to wait for an event as it may.
void Storm::expect_everybody_goes_on()
{
    for (auto const& context : contexts_) {
        std::uint64_t const before{context->progress.load(std::memory_order_relaxed)};
        wait_until("everybody who may run runs", [&] {
            return context->progress.load(std::memory_order_relaxed) > before ||
                   context->vcpu->has_flag(PauseFlag::blocked);
        });
    }
}

void Storm::expect_the_notified_to_wake()
{
    std::vector<std::uint64_t> before;
    for (auto const& context : contexts_) {
        before.push_back(context->progress.load(std::memory_order_relaxed));
        Vcpu& vcpu{*context->vcpu};
        machine_.call(some_pcpu(random_()), [&](CpuId self, Instant now) { core().notify(self, vcpu, now); });
    }
    for (std::size_t i = 0; i < contexts_.size(); ++i)
        wait_until("everybody who was notified wakes",
                   [&] { return contexts_[i]->progress.load(std::memory_order_relaxed) > before[i]; });
}

// On all nodes: what is kept for the vCPUs of a domain that has moved may lie on another node than before.
std::size_t Storm::bytes_in_use() const
{
    std::size_t bytes{0};
    for (NodeId const node : shape_.topology().nodes())
        bytes += machine_.bytes_in_use(node);
    return bytes;
}

void Storm::expect_nothing_left_of_the_dead()
{
    machine_.call(some_pcpu(random_()), [&](CpuId self, Instant now) { mortals_.end_all(self, now); });
    wait_until("all that ended are gone", [&] { return mortals_.births() == mortals_.deaths(); });
    gather();
    wait_until("the memory of the dead is back", [&] { return bytes_in_use() == bytes_at_rest_; });
}

// All is in the boot pool again, and nothing else is left. What was to be seen of who waits in other pools has been.
void Storm::gather()
{
    wait_until("every domain is in the boot pool", [&] {
        bool all{true};
        machine_.call(CpuId{0}, [&](CpuId self, Instant now) {
            for (sched::Domain* const domain : domains_) {
                static_cast<void>(core().move_domain(self, *domain, PoolId{}, now));
                all = all && core().look_at(*domain).pool == PoolId{};
            }
        });
        return all;
    });
    wait_until("every pCPU is in the boot pool, and the third pool has ended", [&] {
        bool ended{false};
        machine_.call(CpuId{0}, [&](CpuId self, Instant now) {
            sched::Pool* const third{core().find_pool("third")};
            ended = third == nullptr || system_->destroy_pool(self, third->id(), now).ok(); // may have its last domain
            for (CpuId const cpu : core().find_pool(second_pool_)->members())
                static_cast<void>(system_->remove_from_pool(self, cpu, now));
        });
        return ended && core().pool().members().count() == pcpu_count();
    });
    third_pool_.store(PoolId{}, std::memory_order_relaxed);
}

// The threads have ended: everything may be looked at.
void Storm::expect_good_order()
{
    EXPECT_TRUE(core().is_consistent());
    std::vector<std::unique_ptr<Context>> const* const all[]{&contexts_, &idle_contexts_};
    for (auto const* const contexts : all)
        for (auto const& context : *contexts) {
            Vcpu const& vcpu{*context->vcpu};
            bool const is_current{core().pool().pcpu(vcpu.processor()).current == &vcpu};
            SCOPED_TRACE(testing::Message() << "domain " << vcpu.domain.id.value() << " vCPU " << vcpu.index.value());
            EXPECT_EQ(context->runs_on, is_current ? vcpu.processor().value() : nobody);
            EXPECT_EQ(vcpu.is_running(), is_current);
            EXPECT_EQ(vcpu.run_state.state == RunState::running, is_current);
            EXPECT_FALSE(vcpu.has_flag(PauseFlag::blocked) && vcpu.has_flag(PauseFlag::event_pending));
            if (is_current)
                continue; // What becomes of it is decided at the reschedule that it may have been asked for.
            EXPECT_FALSE(vcpu.has_flag(PauseFlag::migrating)) << "a move was asked for and never completed";
            EXPECT_EQ(vcpu.run_state.state == RunState::runnable, vcpu.is_runnable());
        }
}

} // namespace hv::test
