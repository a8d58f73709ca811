// `numacredit`: what the credit scheduler should have become. Weights, caps, hard affinity and work conservation as in
// `credit`, but exact, and with the wake-up path that node affinity needs. docs/numacredit.md has the reasons.
//
// Each queue is ordered by virtual time, run time by weight, so that the next to run is whoever has got least. Who
// wakes up within its share is boosted until it has run for a while. An idle pCPU takes the nearest waiting vCPU, first
// those that want to come home, and asks for those that run away from home; a busy one takes somebody from another
// queue only when that one is worse off by more than the move is worth. Nobody scans the machine: NodeIndex knows where
// to look. One file a matter: queue.cpp virtual time and order, place.cpp where a waking vCPU goes, steal.cpp what a
// pCPU takes from others, accounting.cpp what is done every 10 ms, numacredit.cpp the hooks, params.cpp the parameters.
//
// Locking: no lock of its own but for the list of capped domains. Floor: sched.
#pragma once

#include "sched/node_index.hpp"
#include "sched/numacredit/types.hpp"

#include <optional>

namespace hv::sched::numacredit {

class NumaCredit {
public:
    static constexpr std::string_view name{"numacredit"};
    // Patience, and until a pCPU that could not look everywhere looks again; with parameters as they are by default.
    static constexpr Duration work_conserving_within{Duration::from_us(1'100)};

    using PcpuData = PcpuState;
    using VcpuData = VcpuState;
    using DomainData = DomainState;

    explicit NumaCredit(Pool& pool) : pool_{pool} {}

    Decision schedule(CpuId self, Vcpu& current, Instant now, bool force_idle) noexcept;
    WakeDecision wake(CpuId self, Vcpu& vcpu, Instant now) noexcept;
    void enqueue(CpuId self, Vcpu& vcpu, Instant now) noexcept;
    void sleep(CpuId self, Vcpu& vcpu, Instant now) noexcept;
    CpuId pick_cpu(CpuId self, Vcpu& vcpu, Instant now) noexcept;

    void pcpu_joins(CpuId cpu, Instant now) noexcept;
    void pcpu_leaves(CpuId by, CpuId cpu, Instant now) noexcept;
    void vcpu_added(Vcpu& vcpu, Instant now) noexcept;
    void vcpu_removed(CpuId by, Vcpu& vcpu, Instant now) noexcept;
    void domain_removed(CpuId by, Domain& domain, Instant now) noexcept;
    void affinity_changed(Vcpu& vcpu, Instant now) noexcept;
    void params_changed(Domain& domain, DomainParams params) noexcept;
    Status<ParamError> set_param(std::string_view key, std::int64_t value) noexcept;
    std::optional<std::int64_t> param(std::string_view key) const noexcept;
    void yield(CpuId self, Vcpu& current) noexcept;
    void account(CpuId self, Instant now, Parking& parking) noexcept;
    void describe(Sink& sink) const noexcept;
    void describe_queue(CpuId cpu, Sink& sink) noexcept;
    [[nodiscard]] bool is_consistent() const noexcept;

private:
    static VcpuState& data(Vcpu& vcpu) { return *static_cast<VcpuState*>(vcpu.policy_data); }
    static DomainState& data(Domain& domain) { return *static_cast<DomainState*>(domain.policy_data); }
    PcpuState& at(CpuId cpu) { return *static_cast<PcpuState*>(pool_.pcpu(cpu).policy_data); }

    // queue.cpp
    void charge(PcpuState& pcpu, VcpuState& vcpu, Instant now) HV_REQUIRES(pcpu.pcpu.lock);
    void join(PcpuState& pcpu, VcpuState& vcpu) HV_REQUIRES(pcpu.pcpu.lock);
    void leave(PcpuState& pcpu, VcpuState& vcpu) HV_REQUIRES(pcpu.pcpu.lock);
    void insert(PcpuState& pcpu, VcpuState& vcpu) HV_REQUIRES(pcpu.pcpu.lock);
    void remove(PcpuState& pcpu, VcpuState& vcpu) HV_REQUIRES(pcpu.pcpu.lock);
    void publish(PcpuState& pcpu) HV_REQUIRES(pcpu.pcpu.lock);
    void start(PcpuState& pcpu, VcpuState& vcpu) HV_REQUIRES(pcpu.pcpu.lock);
    void fall_asleep(PcpuState& pcpu, VcpuState& vcpu, Instant now) HV_REQUIRES(pcpu.pcpu.lock);
    void wake_up(PcpuState& pcpu, VcpuState& vcpu) HV_REQUIRES(pcpu.pcpu.lock);
    void stop(PcpuState& pcpu, VcpuState& vcpu, Instant now) HV_REQUIRES(pcpu.pcpu.lock);
    static void count_heaviest(PcpuState& pcpu, VcpuState const& vcpu) HV_REQUIRES(pcpu.pcpu.lock);
    static void find_heaviest(PcpuState& pcpu, VcpuState const& gone) HV_REQUIRES(pcpu.pcpu.lock);
    static void move_sleepers(PcpuState& pcpu, std::int64_t distance) HV_REQUIRES(pcpu.pcpu.lock);
    void forget_sleepers(PcpuState& pcpu, Instant now) HV_REQUIRES(pcpu.pcpu.lock);
    void follow_the_machine(PcpuState& pcpu, VcpuState* current, Duration most) HV_REQUIRES(pcpu.pcpu.lock);
    [[nodiscard]] Duration slice_of(PcpuState const& pcpu, VcpuState const& vcpu) const HV_REQUIRES(pcpu.pcpu.lock);
    // numacredit.cpp
    [[nodiscard]] bool may_go_on(PcpuState& mine, VcpuState& current, Instant now) HV_REQUIRES(mine.pcpu.lock);
    void reweigh(PcpuState& mine, VcpuState& vcpu) HV_REQUIRES(mine.pcpu.lock);
    [[nodiscard]] bool is_within_share(PcpuState& pcpu, VcpuState& woken, Instant now) const
        HV_REQUIRES(pcpu.pcpu.lock);
    void ask(CpuId self, CpuId cpu, Instant now);
    [[nodiscard]] bool is_out_of_budget(VcpuState& current);
    Decision go_idle(CpuId self, PcpuState& mine, Instant now) HV_REQUIRES(mine.pcpu.lock);
    void put_back(CpuId self, PcpuState& mine, VcpuState& vcpu, Instant now) HV_REQUIRES(mine.pcpu.lock);
    void disturb(CpuId self, PcpuState& pcpu, VcpuState& woken, Instant now) HV_REQUIRES(pcpu.pcpu.lock);
    [[nodiscard]] bool beats(VcpuState const& other, VcpuState const& current) const;
    Decision run(PcpuState& mine, VcpuState& next, Instant now, bool migrated) HV_REQUIRES(mine.pcpu.lock);
    // place.cpp
    [[nodiscard]] bool may_use(Vcpu const& vcpu, CpuId cpu) const;
    [[nodiscard]] CpuId place(VcpuState& vcpu, CpuId old);
    [[nodiscard]] std::optional<CpuId> idle_near(VcpuState const& vcpu, CpuId from, bool at_home);
    [[nodiscard]] std::optional<CpuId> roomier_idle(VcpuState const& vcpu, CpuId from);
    [[nodiscard]] std::optional<CpuId> roomier_core(VcpuState const& vcpu, CpuId from);
    [[nodiscard]] std::optional<CpuId> best_idle(VcpuState const& vcpu, CpuId from);
    [[nodiscard]] CpuId least_loaded(VcpuState const& vcpu, CpuId from);
    // steal.cpp
    struct Loot {
        VcpuState* vcpu{nullptr};
        std::optional<CpuId> pull_from; // nobody waits, but somebody runs there who would rather run here
        std::optional<Duration> again;  // who waits may come later: when to look again

        void come_back(Duration after) { again = again && *again < after ? *again : after; }
    };
    [[nodiscard]] Loot steal_any(CpuId self, PcpuState& mine, Instant now) HV_REQUIRES(mine.pcpu.lock);
    [[nodiscard]] VcpuState* steal_better(CpuId self, PcpuState& mine, VcpuState const& best, Instant now)
        HV_REQUIRES(mine.pcpu.lock);
    [[nodiscard]] VcpuState* homesick(CpuId self, PcpuState& mine, Loot& loot, Instant now) HV_REQUIRES(mine.pcpu.lock);
    [[nodiscard]] bool is_free(CpuId self, PcpuState const& mine, VcpuState const& waits, Instant now, Loot& loot);
    template <typename Wanted>
    [[nodiscard]] VcpuState* take_from(CpuId self, PcpuState& mine, CpuId peer, Instant now, Loot& loot,
                                       Wanted const& wanted);
    // accounting.cpp
    void update_reference();
    void hand_out(DomainState& domain, Duration period, Parking& parking) HV_REQUIRES(lock_);
    void keep_accounting(Instant now);
    [[nodiscard]] bool is_busy() HV_REQUIRES(lock_);

    Pool& pool_;
    Params params_;
    NodeIndex idle_;     // pCPUs that idle and were not asked to reschedule yet
    NodeIndex waiting_;  // pCPUs where somebody waits who may run elsewhere
    NodeIndex homesick_; // by node: pCPUs with somebody who would rather run on that node. Cleared by who looks in vain
    std::atomic<VirtualTime> reference_{}; // mean of the busy pCPUs' clocks, as of the last accounting
    // How many of a node's pCPUs were busy lately, permille.
    std::array<std::atomic<std::uint32_t>, NodeMask::capacity> node_busy_{};
    std::atomic<bool> homes_{false};     // somebody has a home
    std::atomic<bool> accounts_{false};  // the accounting timer is armed
    std::atomic<CpuId> master_{CpuId{}}; // hosts it. Written under lock_

    TicketLock lock_{policy_lock_key()};
    CpuMask cpus_ HV_GUARDED_BY(lock_);
    unsigned periods_ HV_GUARDED_BY(lock_){0};
    Instant handed_out_ HV_GUARDED_BY(lock_);
    List<DomainState, CappedTag> capped_ HV_GUARDED_BY(lock_);
};

} // namespace hv::sched::numacredit
