// Who earns how much. Upstream: csched_acct, __csched_vcpu_acct_start, __csched_vcpu_acct_stop_locked.
#include "sched/credit/credit.hpp"

#include <limits>

namespace hv::sched::credit {

namespace {

// Shares are rounded up; the credit balance absorbs what that creates. 64 bits: upstream's 32 overflow on large
// machines.
[[nodiscard]] constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

constexpr std::int64_t no_limit = std::numeric_limits<std::int64_t>::min(); // no vCPU owes as much

} // namespace

// One accounting's working values; weight, balance and credits are those at its start throughout.
struct Credit::Period {
    std::int64_t weight;
    std::int64_t balance;
    std::int64_t credits_per_vcpu; // a slice's worth
    std::int64_t total;            // to hand out, grows by what capped domains leave
    std::int64_t weight_left;
    bool wanted{false};          // some domain so far wants more than its share
    std::int64_t domain_peak{0}; // of the domain at hand: the most a capped vCPU may owe before it is parked
};

void Credit::activate(CpuId self, CreditVcpu& vcpu, Instant now)
{
    Guard guard{private_lock_, irqs_off};
    CreditDomain& domain{data(vcpu.vcpu.domain)};
    if (!vcpu.is_active()) {
        domain.active.push_front(vcpu);
        vcpu.set_active(true);
        ++domain.active_count;
        count(self, &Counters::acct_vcpu_active);
        weight_ += domain.weight;
        if (!domain.is_linked())
            active_.push_front(domain);
    }
    pool_.tracer().emit(self, now, trace::Event::account_start, domain.domain.id.value(), vcpu.vcpu.index.value(),
                        domain.active_count);
}

void Credit::deactivate(CpuId self, CreditVcpu& vcpu, Instant now)
{
    CreditDomain& domain{data(vcpu.vcpu.domain)};
    domain.active.erase(vcpu);
    vcpu.set_active(false);
    --domain.active_count;
    count(self, &Counters::acct_vcpu_idle);
    weight_ -= domain.weight;
    if (domain.active_count == 0)
        active_.erase(domain);
    pool_.tracer().emit(self, now, trace::Event::account_stop, domain.domain.id.value(), vcpu.vcpu.index.value(),
                        domain.active_count);
}

void Credit::vcpu_removed(CpuId by, Vcpu& vcpu, Instant now) noexcept
{
    Guard guard{private_lock_, irqs_off};
    CreditVcpu& removed{data(vcpu)};
    if (removed.is_active())
        deactivate(by, removed, now);
    // It may go on in another pool, where nobody would let it (upstream forgot: defect 36). Nobody needs to be woken:
    // it has been stopped.
    if (removed.clear(Flag::parked)) {
        pool_.tracer().emit(by, now, trace::Event::cap, vcpu.packed(), 0u);
        vcpu.pause_count.fetch_sub(1);
    }
}

// What the domain earns for all its active vCPUs together.
std::int64_t Credit::share_of(CreditDomain& domain, Period& period)
{
    std::int64_t const count{domain.active_count};
    period.weight_left -= count * domain.weight;
    std::int64_t peak{count * period.credits_per_vcpu};
    if (period.balance < 0)
        peak += ceil_div(-period.balance * domain.weight * count, period.weight);
    if (domain.cap != 0) {
        std::int64_t const cap{ceil_div(domain.cap * period.credits_per_vcpu, 100)};
        peak = cap < peak ? cap : peak;
        period.domain_peak = ceil_div(cap, count);
    }
    std::int64_t const fair{ceil_div(period.total * domain.weight * count, period.weight)};
    if (fair < peak) {
        period.wanted = true;
        return fair;
    }
    // The surplus goes to those later in the list. Whoever left it to nobody, though somebody before had wanted it,
    // moves to the front: next time it comes first.
    if (period.weight_left != 0)
        period.total += ceil_div((fair - peak) * period.weight, period.weight_left);
    if (period.wanted) {
        ++at(master_).counters.acct_reorder;
        active_.erase(domain);
        active_.push_front(domain);
    }
    return peak;
}

// Every active vCPU gets its part of what its domain earns. Returns the sum of what they have then. There may be
// hundreds, so what is rare is kept out of the loop.
std::int64_t Credit::hand_out(CpuId self, Period& period, Parking& parking, Instant now)
{
    std::int64_t const slice{period.credits_per_vcpu};
    bool const traced{is_traced()};
    std::int64_t balance{0};
    for (auto next_domain = active_.begin(); next_domain != active_.end();) {
        CreditDomain& domain{*next_domain++}; // It may move to the front or leave the list.
        std::int64_t const count{domain.active_count};
        auto const earned = static_cast<std::int32_t>(ceil_div(share_of(domain, period), count));
        std::int64_t const park_below{domain.cap != 0 ? -period.domain_peak : no_limit};
        for (auto next_vcpu = domain.active.begin(); next_vcpu != domain.active.end();) {
            CreditVcpu& vcpu{*next_vcpu++}; // It may become inactive.
            Prio const before{vcpu.prio()};
            std::int64_t credit{vcpu.credit.fetch_add(earned, std::memory_order_relaxed) + earned};
            if (credit < 0) {
                vcpu.set_prio(Prio::over);
                if (credit < park_below) [[unlikely]]
                    park(self, vcpu, parking, now);
                if (credit < -slice) [[unlikely]]
                    credit = limit_debt(self, vcpu, slice, now);
            } else {
                vcpu.set_prio(Prio::under);
                if (vcpu.has(Flag::parked)) [[unlikely]]
                    unpark(self, vcpu, parking, now);
                if (credit > slice) [[unlikely]]
                    credit = retire(self, vcpu, credit, now);
            }
            if (traced) [[unlikely]]
                trace_share(self, vcpu, before, earned, now);
            balance += credit;
        }
    }
    return balance;
}

void Credit::park(CpuId self, CreditVcpu& vcpu, Parking& parking, Instant now)
{
    if (vcpu.set(Flag::parked))
        return;
    count(self, &Counters::vcpu_park);
    pool_.tracer().emit(self, now, trace::Event::cap, vcpu.vcpu.packed(), 1u);
    parking.park(vcpu.vcpu);
}

// PARKED goes before the unpause, so the wake boosts the vCPU: upstream's, mended there in 2019.
void Credit::unpark(CpuId self, CreditVcpu& vcpu, Parking& parking, Instant now)
{
    vcpu.clear(Flag::parked);
    count(self, &Counters::vcpu_unpark);
    pool_.tracer().emit(self, now, trace::Event::cap, vcpu.vcpu.packed(), 0u);
    parking.unpark(vcpu.vcpu);
}

// Nobody owes more than a slice. Returns what it has.
std::int64_t Credit::limit_debt(CpuId self, CreditVcpu& vcpu, std::int64_t slice, Instant now)
{
    std::int64_t const forgiven{-slice - vcpu.credit.load(std::memory_order_relaxed)};
    count(self, &Counters::acct_min_credit);
    vcpu.credit.store(static_cast<std::int32_t>(-slice), std::memory_order_relaxed);
    if (is_traced()) [[unlikely]]
        trace_credit(self, vcpu, forgiven, trace::CreditReason::cap, now);
    return -slice;
}

// It does not run enough to spend what it earns. Returns what it keeps, to be a little ahead next time.
std::int64_t Credit::retire(CpuId self, CreditVcpu& vcpu, std::int64_t credit, Instant now)
{
    deactivate(self, vcpu, now);
    vcpu.credit.store(static_cast<std::int32_t>(credit / 2), std::memory_order_relaxed);
    if (is_traced()) [[unlikely]]
        trace_credit(self, vcpu, credit / 2 - credit, trace::CreditReason::reset, now);
    return credit / 2;
}

void Credit::account(CpuId self, Instant now, Parking& parking) noexcept
{
    {
        Guard guard{private_lock_, irqs_off};
        if (self != master_ || !cpus_.test(self))
            return; // It left while its timer was on the way, and another pCPU has the timer by now, if there is one.
        Counters& counters{at(self).counters};
        ++counters.acct_run;
        if (weight_ == 0) {
            ++counters.acct_no_work;
            credit_balance_ = 0;
            pool_.env().arm(self, timer::accounting, now + params_.tslice);
            return;
        }
        Period period{.weight = weight_,
                      .balance = credit_balance_,
                      .credits_per_vcpu = credits_per_tslice_,
                      .total = credit_ + (credit_balance_ < 0 ? -credit_balance_ : 0),
                      .weight_left = weight_};
        counters.acct_balance += credit_balance_ < 0 ? 1 : 0;
        credit_balance_ = hand_out(self, period, parking, now);
        if (is_traced()) [[unlikely]]
            trace_account(self, period.weight, now);
        // Under the lock: once the master has left, nothing may arm its timer again.
        pool_.env().arm(self, timer::accounting, now + params_.tslice);
    }
    // relaxed: the lock's release published the priorities; who reads late sorts at the next tick.
    sort_epoch_.fetch_add(1, std::memory_order_relaxed);
}

// Single-threaded callers only: tests and the simulator, between events.
bool Credit::is_consistent() const noexcept HV_NO_THREAD_SAFETY_ANALYSIS
{
    std::int64_t weight{0};
    for (CreditDomain const& domain : active_) {
        std::int64_t count{0};
        for (CreditVcpu const& vcpu : domain.active) {
            if (&data(vcpu.vcpu.domain) != &domain)
                return false;
            ++count;
        }
        if (count == 0 || count != domain.active_count)
            return false;
        weight += count * domain.weight;
    }
    if (weight != weight_ || credit_ != cpus_.count() * credits_per_tslice_)
        return false;
    for (CpuId const cpu : pool_.members()) {
        auto const& mine = *static_cast<CreditPcpu const*>(pool_.pcpu(cpu).policy_data);
        bool idle_queued{false};
        for (CreditVcpu const& vcpu : mine.queue) {
            if (vcpu.vcpu.processor() != cpu || &vcpu.vcpu == mine.pcpu.current)
                return false;
            idle_queued |= vcpu.vcpu.is_idle();
        }
        if (idle_queued == mine.pcpu.current->is_idle())
            return false;
        if (waiters_.test(cpu) != (mine.waiting != 0))
            return false;
        // Who is advertised as idle is, and who runs idle for want of work is advertised.
        if (idlers_.test(cpu) != (data(*mine.pcpu.current).prio() == Prio::idle))
            return false;
    }
    return (idlers_.snapshot() - cpus_).empty();
}

} // namespace hv::sched::credit
