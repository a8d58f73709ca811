// What holds after every event under any policy, whatever it decides; named as in the literature of this scheduler:
//
//   B2   a vCPU belongs to a pCPU of the pool, and (credit) waits in that pCPU's queue, once
//   B3   it never changes pCPU while it runs
//   B4   what runs does not wait; the idle vCPU runs where nothing else does
//   B10  what runs is where its hard affinity allows
//   B13  a pCPU runs one vCPU, a vCPU runs on one pCPU
//   B14  what is switched in was not running anywhere, what is switched out was running there
//   and: who has left the pool runs nothing
//   and, of credit: B9, who is parked is paused, once; B16, the count of
//   those who wait is right; whoever ran has paid for it, to one credit; ticks and accounting go on while there is work
//   and: run states agree with flags, their times add up to the time that passed, no pCPU idles while a vCPU waits for
//   it
//
// Watches through the trace listener and by looking at the scheduler. Single-threaded. Floor: tests.
#pragma once

#include "sched/system.hpp"

#include <map>
#include <string>
#include <vector>

namespace hv::test {

class Invariants {
public:
    // prompt: requests to reschedule are carried out at once, so that no pCPU may be caught idling.
    explicit Invariants(bool prompt) : prompt_{prompt} {}
    Invariants(Invariants const&) = delete;
    Invariants& operator=(Invariants const&) = delete;

    [[nodiscard]] sched::trace::Listener listener();
    void check(sched::System& system, Instant now);

    // The first thing that did not hold, with the time; empty if all did.
    [[nodiscard]] std::string const& broken() const { return broken_; }
    [[nodiscard]] std::uint64_t switches() const { return switches_; }
    // Of all switches, for comparing runs.
    [[nodiscard]] std::uint64_t fingerprint() const { return fingerprint_; }

private:
    void heard(CpuId cpu, Instant now, std::uint32_t number, std::span<std::uint32_t const> words);
    void expect(bool holds, char const* what, Instant now, std::uint32_t vcpu);
    void check_pcpu(sched::System& system, CpuId cpu, Instant now);
    void check_vcpu(sched::System& system, sched::Vcpu& vcpu, Instant now);
    void check_absent(sched::System& system, Instant now);
    void check_times(sched::System& system, sched::Vcpu const& vcpu, Instant now);
    void check_credit(sched::System& system, Instant now);
    void check_credit_queues(sched::System& system, Instant now);
    void check_credit_timers(sched::System& system, Instant now);
    void forget(std::uint32_t domain);

    bool prompt_;
    std::string broken_;
    std::uint64_t switches_{0};
    std::uint64_t fingerprint_{1469598103934665603ull};
    std::map<CpuId::Rep, std::uint32_t> running_; // by pCPU, from the trace
    std::map<std::uint32_t, CpuId::Rep> runs_on_; // the reverse
    std::map<std::uint32_t, Instant> created_;    // when first seen
    std::map<std::uint32_t, std::int64_t> paid_;  // credits, since it is there
    std::map<CpuId::Rep, Instant> ticked_;        // or began to compute
    Instant accounted_;                           // or there was nobody to account for
};

} // namespace hv::test
