#include "tests/stress/mortals.hpp"

#include <gtest/gtest.h>

namespace hv::test {

using sched::CoreError;
using sched::Domain;
using sched::Vcpu;
using sched::guest::Workload;
using sched::guest::WorkloadKind;

namespace {

Workload mortal_work(unsigned index, std::uint64_t draw)
{
    Workload work{};
    constexpr std::array kinds{WorkloadKind::burst, WorkloadKind::hog, WorkloadKind::periodic};
    work.kind = draw % 4 == 3 ? WorkloadKind::pingpong : kinds[(draw / 4 + index) % kinds.size()];
    work.run_min = Duration::from_us(20);
    work.run_max = Duration::from_us(900);
    work.block_min = Duration::from_us(20);
    work.block_max = Duration::from_us(900);
    work.period = Duration::from_us(700);
    work.phase = Duration::from_us(static_cast<std::int64_t>(draw % 700));
    work.partner = VcpuIndex{static_cast<VcpuIndex::Rep>(index ^ 1)};
    work.has_token = index % 2 == 0;
    return work;
}

} // namespace

void Mortals::attach(sched::System& system)
{
    system_ = &system;
    for (unsigned i = 0; i < slot_count; ++i)
        slots_[i].id = DomainId{static_cast<DomainId::Rep>(first_id + i)};
    system.set_farewell({.self = this,
                         .vcpu = [](void* self, Vcpu& vcpu) noexcept { static_cast<Mortals*>(self)->gone(vcpu); },
                         .domain =
                             [](void* self, Domain&) noexcept {
                                 static_cast<Mortals*>(self)->deaths_.fetch_add(1, std::memory_order_relaxed);
                             }});
}

void Mortals::gone(Vcpu& vcpu)
{
    auto* const context = static_cast<StormContext*>(vcpu.context);
    EXPECT_EQ(context->runs_on, StormContext::nobody) << "it is gone and runs";
    EXPECT_FALSE(vcpu.is_running());
    delete context;
}

void Mortals::disturb(CpuId self, std::uint64_t draw, Instant now, std::function<void()> done)
{
    Slot& slot{slots_[draw % slot_count]};
    std::uint64_t const serial{slot.serial.load(std::memory_order_acquire)};
    unsigned const kind{static_cast<unsigned>(draw / 8 % 16)};
    if (serial == 0 || kind < 5) {
        if (!slot.is_in_use.exchange(true, std::memory_order_acquire)) {
            slot.serial.load(std::memory_order_relaxed) == 0 ? create(self, slot, draw / 128, now)
                                                             : destroy(self, slot, now);
            slot.is_in_use.store(false, std::memory_order_release);
        }
    } else if (kind < 8) {
        return pause(self, slot, draw / 128, now, std::move(done));
    } else if (Domain* const domain{core().find(slot.id, serial)}; domain != nullptr) {
        steer(self, *domain, draw / 128, now);
    }
    done();
}

// The id may still belong to the last one.
void Mortals::create(CpuId self, Slot& slot, std::uint64_t draw, Instant now)
{
    auto const domain = core().create_domain(slot.id);
    if (!domain) {
        EXPECT_EQ(domain.error(), CoreError::exists);
        return;
    }
    std::uint32_t const pcpus{core().pool().pcpu_limit()};
    unsigned const count{2 * static_cast<unsigned>(1 + draw % (most_vcpus / 2))};
    core().set_params(**domain, {.weight = static_cast<std::uint16_t>(1 + draw % 512),
                                 .cap = static_cast<std::uint16_t>(draw / 8 % 2 * 40)});
    for (unsigned i = 0; i < count; ++i) {
        CpuId const home{static_cast<CpuId::Rep>((draw / 16 + i) % pcpus)};
        auto const vcpu = core().create_vcpu(self, **domain, home, now);
        HV_ASSERT(vcpu.ok());
        auto* const context = new StormContext;
        context->vcpu = *vcpu;
        (*vcpu)->context = context;
        HV_ASSERT(system_->guests().add(**vcpu, mortal_work(i, draw), draw) != nullptr);
    }
    for (Vcpu& vcpu : (*domain)->vcpus)
        system_->guests().start_at(CpuId{static_cast<CpuId::Rep>(draw % pcpus)}, system_->guests().of(vcpu), now);
    births_.fetch_add(1, std::memory_order_relaxed);
    slot.serial.store((*domain)->serial, std::memory_order_release);
}

void Mortals::destroy(CpuId self, Slot& slot, Instant now)
{
    Domain* const domain{core().find(slot.id, slot.serial.load(std::memory_order_relaxed))};
    HV_ASSERT(domain != nullptr);
    slot.serial.store(0, std::memory_order_relaxed);
    EXPECT_TRUE(core().destroy(self, *domain, now).ok());
    EXPECT_EQ(core().destroy(self, *domain, now).error(), CoreError::ending);
    EXPECT_EQ(core().find(slot.id), nullptr);
}

// Another pCPU undoes it, if the domain is still there by then.
void Mortals::pause(CpuId self, Slot& slot, std::uint64_t draw, Instant now, std::function<void()> done)
{
    std::uint64_t const serial{slot.serial.load(std::memory_order_acquire)};
    Domain* const domain{serial == 0 ? nullptr : core().find(slot.id, serial)};
    if (domain == nullptr)
        return done();
    core().pause(self, *domain, now);
    machine_.post(CpuId{static_cast<CpuId::Rep>(draw % core().pool().pcpu_limit())},
                  [this, id = slot.id, serial, done](CpuId other, Instant later) {
                      if (Domain* const paused{core().find(id, serial)}; paused != nullptr)
                          core().unpause(other, *paused, later);
                      done();
                  });
}

void Mortals::steer(CpuId self, Domain& domain, std::uint64_t draw, Instant now)
{
    std::uint64_t which{draw % domain.vcpu_count};
    for (Vcpu& vcpu : domain.vcpus) {
        if (which-- != 0)
            continue;
        CpuMask mask{CpuMask::of(CpuId{static_cast<CpuId::Rep>(draw / 8 % core().pool().pcpu_limit())})};
        mask.set(CpuId{static_cast<CpuId::Rep>(draw / 128 % core().pool().pcpu_limit())});
        switch (draw / 16 % 7) {
        case 0:
            core().notify(self, vcpu, now);
            break;
        case 1:
            core().wake(self, vcpu, now);
            break;
        case 2:
            static_cast<void>(core().set_hard_affinity(self, vcpu, mask, now)); // all may have left
            break;
        case 3:
            EXPECT_TRUE(core().set_soft_affinity(vcpu, mask, now).ok());
            break;
        case 4:
            core().set_params(domain, {.weight = 100, .cap = static_cast<std::uint16_t>(draw / 64 % 2 * 30)});
            break;
        case 5:
            static_cast<void>(core().move_domain(self, domain, PoolId{static_cast<PoolId::Rep>(draw / 256 % 3)}, now));
            break;
        default:
            core().pause_nosync(self, vcpu, now);
            core().unpause(self, vcpu, now);
        }
    }
}

void Mortals::end_all(CpuId self, Instant now)
{
    for (Slot& slot : slots_)
        if (slot.serial.load(std::memory_order_acquire) != 0)
            destroy(self, slot, now);
}

} // namespace hv::test
