// What tests of `credit` share: a machine under it, and a look at (and a hand on) credits and priorities.
#pragma once

#include "sched/credit/credit.hpp"
#include "tests/support/sim_fixture.hpp"

namespace hv::sched::test {

[[nodiscard]] inline credit::CreditVcpu& credit_of(Vcpu& vcpu)
{
    return *static_cast<credit::CreditVcpu*>(vcpu.policy_data);
}
[[nodiscard]] inline int credits(Vcpu& vcpu) { return credit_of(vcpu).credit.load(); }
[[nodiscard]] inline Prio prio(Vcpu& vcpu) { return credit_of(vcpu).prio(); }
inline void set_prio(Vcpu& vcpu, Prio to) { credit_of(vcpu).set_prio(to); }
[[nodiscard]] inline bool is_parked(Vcpu& vcpu) { return credit_of(vcpu).has(credit::Flag::parked); }
[[nodiscard]] inline bool is_queued(Vcpu& vcpu) { return credit_of(vcpu).is_queued(); }

// Parts per thousand of `whole`.
[[nodiscard]] inline std::int64_t per_mille(Duration part, Duration whole) { return part * 1000 / whole; }

} // namespace hv::sched::test
