// What upstream's debug key 'r' shows of the scheduler, in its words.
#include "sched/credit/credit.hpp"

#include "arch/generic/mask_text.hpp"

namespace hv::sched::credit {
namespace {

// "[1.0] pri=-1 flags=0 cpu=3 credit=12 [w=256,cap=0]", a line.
void write_vcpu(Sink& sink, CreditVcpu const& vcpu)
{
    constexpr std::uint32_t parked{1}, yields{2};
    print(sink, "[{}.{}] pri={} flags={:01x} cpu={}", vcpu.vcpu.domain.id, vcpu.vcpu.index,
          static_cast<int>(vcpu.prio()), (vcpu.has(Flag::parked) ? parked : 0u) | (vcpu.has(Flag::yield) ? yields : 0u),
          vcpu.vcpu.processor());
    if (!vcpu.is_idle) {
        CreditDomain const& domain{*static_cast<CreditDomain const*>(vcpu.vcpu.domain.policy_data)};
        print(sink, " credit={} [w={},cap={}]", vcpu.credit.load(std::memory_order_relaxed), domain.weight, domain.cap);
    }
    sink.write("\n");
}

} // namespace

void Credit::describe_state(Sink& sink) noexcept
{
    Guard guard{private_lock_, irqs_off};
    std::int64_t const tick_us{tick_period_.ns() / 1'000};
    print(sink, "info:\n\tncpus              = {}\n\tmaster             = {}\n\tcredit             = {}\n",
          cpus_.count(), master_, credit_);
    print(sink, "\tcredit balance     = {}\n\tweight             = {}\n\trunq_sort          = {}\n", credit_balance_,
          weight_, sort_epoch_.load(std::memory_order_relaxed));
    print(sink, "\tdefault-weight     = 256\n\ttslice             = {}ms\n\tratelimit          = {}us\n",
          Duration{params_.tslice}.ns() / 1'000'000, Duration{params_.ratelimit}.ns() / 1'000);
    print(sink, "\tcredits per msec   = {}\n\tticks per tslice   = {}\n\tmigration delay    = {}us\n", credits_per_ms,
          tick_us == 0 ? 0 : Duration{params_.tslice}.ns() / 1'000 / tick_us,
          Duration{params_.migration_delay}.ns() / 1'000);
    sink.write("idlers: ");
    write_runs(sink, idlers_.snapshot());
    sink.write("\nactive vcpus:\n");
    unsigned number{0};
    for (CreditDomain const& domain : active_)
        for (CreditVcpu const& vcpu : domain.active) {
            print(sink, "\t{:3}: ", ++number);
            write_vcpu(sink, vcpu);
        }
}

// The private lock is for weights and caps.
void Credit::describe_queue(CpuId cpu, Sink& sink) noexcept
{
    CreditPcpu& pcpu{at(cpu)};
    Guard all{private_lock_, irqs_off};
    Guard guard{pcpu.pcpu.lock, irqs_off};
    print(sink, "CPU[{:02}]  sort={}, sibling=", cpu, pcpu.sorted_epoch.load(std::memory_order_relaxed));
    write_runs(sink, pool_.topology().siblings_of(cpu));
    sink.write(", core=");
    write_runs(sink, pool_.topology().socket_of(cpu)); // upstream's name for it
    sink.write("\n\trun: ");
    write_vcpu(sink, data(*pcpu.pcpu.current));
    unsigned number{0};
    for (CreditVcpu const& vcpu : pcpu.queue) {
        print(sink, "\t{:3}: ", ++number);
        write_vcpu(sink, vcpu);
    }
}

} // namespace hv::sched::credit
