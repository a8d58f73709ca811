// Why a vCPU did not run: the wait around a time, out of a trace, and what went on meanwhile. docs/traces.md, "Why",
// says what the answer is made of.
//
// Times are stamps. A pCPU is held by whoever arrived there last; it is idle while that is its idle vCPU. Memory: what
// went on in one wait, at most most_kept of each kind; counts go on. One thread. Host only. Floor: tools.
#pragma once

#include "tools/nv/trace_facts.hpp"
#include "tools/nv/trace_scene.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hv::nv {

// Somebody ran where the vCPU waited to run.
struct WaitHold {
    std::uint32_t pcpu{0};
    std::optional<std::uint32_t> holder;          // packed; nothing: not known
    std::uint64_t from{0}, to{0};                 // within the wait
    std::uint64_t running_since{0};               // may be before the wait
    std::optional<std::int32_t> priority, credit; // of the holder, at `from`
    std::optional<std::uint64_t> rate_limited;    // when the rate limit first kept it, if it did
    std::optional<std::uint32_t> slice_ns;        // that it was given
};

// A pCPU that was idle during some of the wait.
struct WaitIdle {
    std::uint32_t pcpu{0};
    std::uint64_t first{0}, total{0}; // since when, within the wait; how long in all
    bool is_allowed{true};            // by hard affinity
    std::optional<bool> is_home;      // nothing: the vCPU has no home, or nodes are not known
};

// Another vCPU began to run on a pCPU on which this one may run.
struct WaitTaken {
    std::uint64_t when{0};
    std::uint32_t pcpu{0}, taken{0}; // taken: packed
    std::uint64_t waiting_since{0};
    std::optional<std::int32_t> priority;
};

enum class WaitRule {
    not_known,      // nobody was seen there, or priorities are not in the trace
    on_its_way,     // its pCPU idled: it was to decide next
    rate_limit,     // the holder may not be preempted yet
    equal_priority, // equals take turns, by time slices
    lower_priority, // the holder's is higher
    not_asked,      // its own is higher, but the pCPU made no decision
};

struct Wait {
    static constexpr std::size_t most_kept = 1000;

    std::uint32_t vcpu{0}; // packed
    std::uint64_t begin{0}, end{0};
    bool has_ended{true}; // false: the trace ends first
    bool after_wake{false};
    std::uint32_t woken_on{0};
    std::optional<std::uint32_t> waker;
    std::optional<std::uint32_t> pcpu;                        // for which it waited at first
    std::optional<std::int32_t> priority, credit;             // at first
    std::optional<std::int32_t> priority_asked, credit_asked; // at the time asked for
    std::optional<std::uint32_t> ran_on;
    bool was_stolen{false};
    std::vector<WaitHold> holds;
    std::map<std::uint32_t, WaitIdle> idle; // by pCPU
    std::vector<WaitTaken> taken;
    std::uint64_t taken_count{0};
    std::vector<std::uint32_t> asked; // pCPUs that were told to reschedule when it woke up
    WaitRule rule{WaitRule::not_known};
    std::size_t hold_asked{0}; // index of the hold at the time asked for
};

class WaitFinder {
public:
    // Looks for the wait of `vcpu` that includes `when`. The facts must outlive the finder.
    WaitFinder(TraceFacts const& facts, std::uint32_t vcpu, std::uint64_t when)
        : facts_{facts}, vcpu_{vcpu}, when_{when}
    {
    }

    // In the order of stamps. false: the answer is known.
    bool record(Record const& record);
    // After the last record, or once the answer is known. Nothing: it did not wait then.
    [[nodiscard]] std::optional<Wait> finish();

    // At the time asked for, or at the end of the trace; nullptr: not seen.
    [[nodiscard]] Scene::Vcpu const* state() const { return state_ ? &*state_ : nullptr; }

private:
    void begin();
    void end(std::optional<std::uint32_t> ran_on);
    void follow(Record const& record);
    void arrived(std::uint32_t pcpu, std::uint32_t packed, std::uint64_t waiting_since);
    void hold(std::uint32_t pcpu);
    void note_idle(std::uint32_t pcpu, bool is_idle);
    void ask();
    [[nodiscard]] WaitRule rule_at(WaitHold const& hold) const;
    [[nodiscard]] bool allows(std::uint32_t pcpu) const;
    [[nodiscard]] std::optional<bool> is_home(std::uint32_t pcpu) const;

    TraceFacts const& facts_;
    std::uint32_t vcpu_;
    std::uint64_t when_;
    Scene scene_;
    std::optional<Wait> wait_;
    bool is_open_{false}, is_asked_{false}, is_waking_{false};
    bool is_limited_{false};                 // the last decision about the present holder was the rate limit's
    std::optional<std::uint32_t> waits_for_; // pCPU
    std::map<std::uint32_t, std::uint64_t> idle_since_; // of pCPUs that idle now, within the wait
    std::map<std::uint32_t, std::uint32_t> slices_;     // by pCPU: what its vCPU was given, ns
    std::optional<Scene::Vcpu> state_;
};

// The vCPU's longest wait: a stamp within it. Feed it the trace.
class LongestWait {
public:
    explicit LongestWait(std::uint32_t vcpu) : vcpu_{vcpu} {}

    void record(Record const& record);
    [[nodiscard]] std::optional<std::uint64_t> when() const { return when_; }

private:
    std::uint32_t vcpu_;
    std::optional<std::uint64_t> since_, when_;
    std::uint64_t longest_{0};
};

struct WhyContext {
    TraceFacts const& facts;
    std::uint64_t hz{0}, first{0}, when{0}; // stamps
};

[[nodiscard]] std::string_view name_of(WaitRule rule);
[[nodiscard]] std::string why_text(Wait const& wait, WhyContext const& context);
[[nodiscard]] std::string why_json(Wait const& wait, WhyContext const& context);

} // namespace hv::nv
