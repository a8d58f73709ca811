// The parameters: what may be set, and what they are now.
#include "sched/numacredit/numacredit.hpp"

#include <array>

namespace hv::sched::numacredit {

namespace {

struct TimeParam {
    std::string_view key;
    Tunable<Duration> Params::* member;
    std::int64_t unit_ns, least, most;
    std::string_view allowed;
};

constexpr std::array times{
    TimeParam{"tslice_ms", &Params::tslice, 1'000'000, 1, 1000, "tslice_ms is 1 to 1000"},
    TimeParam{"ratelimit_us", &Params::ratelimit, 1'000, 0, 500'000, "ratelimit_us is 0 (off) to 500000"},
    TimeParam{"boost_us", &Params::boost, 1'000, 0, 100'000, "boost_us is 0 (off) to 100000"},
    TimeParam{"credit_limit_us", &Params::credit_limit, 1'000, 0, 1'000'000, "credit_limit_us is 0 to 1000000"},
    TimeParam{"steal_gain_us", &Params::steal_gain, 1'000, 0, 10'000'000, "steal_gain_us is 0 to 10000000"},
    TimeParam{"allowance_us", &Params::allowance, 1'000, 0, 1'000'000, "allowance_us is 0 to 1000000"},
    TimeParam{"away_gain_us", &Params::away_gain, 1'000, 0, 10'000'000, "away_gain_us is 0 to 10000000"},
    TimeParam{"patience_us", &Params::patience, 1'000, 0, 100'000, "patience_us is 0 to 100000"},
};

struct Switch {
    std::string_view key;
    Tunable<bool> Params::* member;
};

constexpr std::array switches{
    Switch{"wake_placement", &Params::wake_placement},
    Switch{"steal_by_benefit", &Params::steal_by_benefit},
    Switch{"precise", &Params::precise},
    Switch{"boost_budget", &Params::boost_budget},
    Switch{"cap_budget", &Params::cap_budget},
    Switch{"ordered", &Params::ordered},
};

} // namespace

Status<ParamError> NumaCredit::set_param(std::string_view key, std::int64_t value) noexcept
{
    for (TimeParam const& time : times) {
        if (key != time.key)
            continue;
        if (value < time.least || value > time.most)
            return fail(ParamError{time.allowed});
        params_.*time.member = Duration::from_ns(value * time.unit_ns);
        return done;
    }
    for (Switch const& one : switches) {
        if (key != one.key)
            continue;
        if (value != 0 && value != 1)
            return fail(ParamError{"a switch is 0 or 1"});
        params_.*one.member = value == 1;
        return done;
    }
    return fail(ParamError{"known are tslice_ms, ratelimit_us, boost_us, credit_limit_us, steal_gain_us, away_gain_us, "
                           "allowance_us, patience_us; and, 0 or 1, wake_placement, steal_by_benefit, precise, "
                           "boost_budget, cap_budget, ordered"});
}

std::optional<std::int64_t> NumaCredit::param(std::string_view key) const noexcept
{
    for (TimeParam const& time : times)
        if (key == time.key)
            return Duration{params_.*time.member}.ns() / time.unit_ns;
    for (Switch const& one : switches)
        if (key == one.key)
            return params_.*one.member ? 1 : 0;
    return std::nullopt;
}

void NumaCredit::describe(Sink& sink) const noexcept
{
    print(sink,
          "tslice {} ms, ratelimit {} us, boost {} us, credit limit {} us, gain to steal {} us, from home {} us\n",
          Duration{params_.tslice}.ns() / 1'000'000, Duration{params_.ratelimit}.ns() / 1'000,
          Duration{params_.boost}.ns() / 1'000, Duration{params_.credit_limit}.ns() / 1'000,
          Duration{params_.steal_gain}.ns() / 1'000, Duration{params_.away_gain}.ns() / 1'000);
    for (Switch const& one : switches) {
        if (!(params_.*one.member))
            print(sink, "switched off: {}\n", one.key);
    }
    Counters all;
    for (CpuId const cpu : pool_.members()) {
        Counters const& one{static_cast<PcpuState const*>(pool_.pcpu(cpu).policy_data)->counters};
        all.schedule += one.schedule;
        all.stolen += one.stolen;
        all.stolen_better += one.stolen_better;
        all.came_home += one.came_home;
    }
    print(sink, "decisions {}, taken when idle {}, taken for fairness {}, fetched home {}\n", all.schedule, all.stolen,
          all.stolen_better, all.came_home);
}

void NumaCredit::describe_queue(CpuId cpu, Sink& sink) noexcept
{
    PcpuState& pcpu{at(cpu)};
    auto const write_vcpu = [&](VcpuState const& vcpu) {
        print(sink, "[{}.{}] cpu={}", vcpu.vcpu.domain.id, vcpu.vcpu.index, vcpu.vcpu.processor());
        if (!vcpu.is_idle)
            print(sink, " weight={} unmoved={}us boost={}us away={}", vcpu.weight, vcpu.unmoved.ns() / 1'000,
                  vcpu.boost.ns() / 1'000, vcpu.is_away(cpu));
        sink.write("\n");
    };
    Guard guard{pcpu.pcpu.lock, irqs_off};
    print(sink, "CPU[{:02}]  node={}\n\trun: ", cpu, pool_.topology().node_of(cpu));
    write_vcpu(*static_cast<VcpuState const*>(pcpu.pcpu.current->policy_data));
    unsigned number{0};
    for (VcpuState const& vcpu : pcpu.queue) {
        print(sink, "\t{:3}: ", ++number);
        write_vcpu(vcpu);
    }
}

} // namespace hv::sched::numacredit
