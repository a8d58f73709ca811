// What vCPUs did of their own accord, out of a trace: how long they ran before they blocked, how long they slept, who
// woke whom; and what a wake-up cost the host. Under another policy they would do the same at other times. What the
// policy did to them (waiting, preemption, parking) is left out. docs/traces.md, "Replay", says how each is known.
//
// Times are ns. Memory: 16 bytes a step. One thread. Host only. Floor: tools.
#pragma once

#include "sched/guest/step.hpp"
#include "tools/nv/host_turns.hpp"
#include "tools/nv/trace_facts.hpp"
#include "tools/nv/trace_scene.hpp"
#include "tools/nv/trace_stream.hpp"
#include "tools/nv/trace_waits.hpp"
#include "tools/nv/turn_clock.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hv::nv {

// Of two vCPUs, by packed numbers: how often the one was woken where the other ran. Tells notifications from
// interrupts that happen to come while somebody runs. A first pass over the trace.
class WakePairs {
public:
    // In the order of stamps.
    void record(Record const& record, std::uint64_t hz);

    // Whether a wake-up of `wakee` on a pCPU where `waker` ran is the waker's doing. `is_elsewhere`: it was not on the
    // wakee's own pCPU, where its timers fire.
    [[nodiscard]] bool is_notification(std::uint32_t waker, std::uint32_t wakee, bool is_elsewhere) const;
    // Whether the trace says which pCPU is asked to decide, and when it does.
    [[nodiscard]] bool knows_requests() const { return has_tickle_ && has_schedule_; }

private:
    struct Counts {
        std::uint64_t elsewhere{0};   // on another pCPU than the wakee's
        std::uint64_t here{0};        // on the wakee's own...
        std::uint64_t then_blocks{0}; // ...of these, with the waker blocking at once
    };
    struct Pending {
        std::uint32_t wakee;
        std::uint64_t when;
    };

    Scene scene_;
    std::map<std::pair<std::uint32_t, std::uint32_t>, Counts> counts_; // (waker, wakee)
    std::map<std::uint32_t, Pending> pending_;                         // by waker: what it woke last, on one pCPU
    std::map<std::uint32_t, std::uint64_t> elsewhere_;                 // by wakee, whoever ran there
    bool has_tickle_{false}, has_schedule_{false};
};

struct RecordedVcpu {
    std::uint32_t first_pcpu{0};
    std::vector<sched::guest::Step> steps; // targets are packed vCPUs
};

struct Recording {
    std::map<std::uint32_t, RecordedVcpu> vcpus; // by packed number, without the idle ones
    std::uint64_t duration_ns{0};
    // What wake-ups took by the median where no policy had a part in it: on the pCPU that it waited for, and on
    // another. Where it is known of one, its step has it.
    // Without any by another pCPU, what it took an idle one to come for its vCPU.
    std::uint64_t wake_ns{0}, ipi_ns{0};
    std::uint64_t steps{0}, notifications{0};
    HostPcpus host{HostPcpus::side_by_side};
    std::uint64_t turn_ns{0}; // mean length of a turn that ends without a cause in the trace; 0: none does
};

class Recorder {
public:
    // The pairs must outlive the recorder. `last`: stamps after it only close the trace.
    Recorder(WakePairs const& pairs, std::uint64_t hz, HostModel host, std::uint64_t last = ~0ull)
        : pairs_{pairs}, hz_{hz}, host_{host}, last_{last}, turns_{host.turn}
    {
    }

    // In the order of stamps.
    void record(Record const& record);
    [[nodiscard]] Recording finish();

private:
    struct Live {
        RecordedVcpu made;
        bool is_placed{false}; // first_pcpu is known
        bool is_blocked{false}, is_running{false};
        std::uint32_t on{0};      // the pCPU where it runs
        std::uint64_t since{0};   // of blocking, ns; of running, on the pCPU's clock
        std::uint64_t ran{0};     // of the step that is not over, ns
        std::uint64_t longest{0}; // run between two blocks, ns
        std::uint64_t run{0};     // of the one that is not over, ns, up to...
        std::uint64_t run_since{0};
        std::uint32_t woken_for{0}; // its own pCPU
        std::size_t woken_step{0};
        // When, on the clock of its own pCPU, if nobody came before it there so far.
        std::optional<std::uint64_t> woken;
        bool woken_here{false}, woken_idle{false}; // on its own pCPU; that pCPU idled
        bool is_asked{false};                      // that pCPU was asked to decide...
        std::optional<std::uint64_t> decided;      // ...and first did
    };

    [[nodiscard]] std::uint64_t ns_of(std::uint64_t ticks) const;
    [[nodiscard]] std::uint64_t now() const { return ns_of(scene_.now() - scene_.first()); }
    // What time it is for those that run on the pCPU: all pCPUs have the same, unless they took turns.
    [[nodiscard]] std::uint64_t clock_of(std::uint32_t pcpu) const;
    [[nodiscard]] Live& find(std::uint32_t packed, RunState from, std::uint32_t pcpu);
    void change(Record const& record, sched::trace::RunStateChange to);
    void woken(std::uint32_t packed, Live& vcpu);
    void begin_wait(std::uint32_t packed, Live& vcpu);
    void request(Record const& record);
    void end_waits(std::uint32_t pcpu, std::optional<std::uint32_t> arrived);
    void end_wait(Live& vcpu, std::uint64_t took, bool was_preemption);
    void learn(Live& vcpu, std::uint64_t took);
    void flush(Live& vcpu);
    void place(Live& vcpu, std::uint32_t pcpu);
    static void add(Live& vcpu, sched::guest::StepKind kind, std::uint64_t ns, std::uint32_t target = 0);

    WakePairs const& pairs_;
    std::uint64_t hz_;
    HostModel host_;
    std::uint64_t last_;
    Scene scene_;
    TurnClock turns_;
    std::map<std::uint32_t, Live> vcpus_;
    TurnClock::Waiting next_;                           // by pCPU: who woke up and may be the next there
    std::map<std::uint32_t, std::uint32_t> last_woken_; // by pCPU: whom a wake-up there was of
    std::map<std::uint32_t, bool> left_runnable_;       // by pCPU: whether who left last could have gone on
    bool arrives_on_idle_{false};                       // the pCPU of the record idled before it
    WaitSamples moved_;                                 // wake-ups for which another, idle pCPU came
    WaitSamples here_, elsewhere_;
    std::uint64_t notifications_{0};
};

enum class ReplayAffinity {
    facts, // hard affinity and homes as the facts have them, homes soft
    none,  // none at all; homes count for figures only
    hard,  // pinned to the home nodes
};

struct ReplayConfig {
    std::string name, policy;
    ReplayAffinity affinity{ReplayAffinity::facts};
};

// A scenario file (credit-scenario/2). Throws (bad_input) if it cannot be one: too many pCPUs, no vCPU.
[[nodiscard]] std::string replay_scenario(Recording const& recording, TraceFacts const& facts, std::uint32_t pcpus,
                                          ReplayConfig const& config);

} // namespace hv::nv
