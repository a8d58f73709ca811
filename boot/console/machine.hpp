// What commands need of the machine beside the scheduler: who a VM is, memory, the log, the clock. The kernel answers
// in boot/console_task.cpp, tests with a simulated machine. Everything is called on the console's pCPU, outside of
// interrupts, with none of the scheduler's locks held. Floor: boot/console.
#pragma once

#include "boot/console/reply.hpp"
#include "sched/system.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace hv::console {

inline constexpr std::uint64_t pages_per_mib = 256;

struct NodeMemory {
    std::uint64_t span_pages{0}; // from the first to behind the last, holes included
    std::uint64_t first_page{0};
    std::uint64_t pages{0}, free_pages{0};
    std::uint64_t dirty_pages{0};   // of the free ones: not zeroed yet
    std::uint64_t claimed_pages{0}; // promised and not taken yet
};

struct MachineFacts {
    std::string_view version, command_line;
    std::uint64_t tsc_khz{0};
    std::array<std::uint32_t, 8> features{}; // words of CPUID
    bool has_svm{false};
};

// A VM to be made. Null: no such affinity.
struct VmRequest {
    std::string_view name; // empty: after its number
    std::uint32_t vcpus;
    std::uint64_t memory_mib;
    CpuMask const* cpus;
    CpuMask const* cpus_soft;
    sched::DomainParams params;
    sched::guest::Workload workload;
};

// Why a VM could not be made or ended, as a phrase.
struct VmRefusal {
    std::string_view text;
};

enum class VmCondition : std::uint8_t { runs, shut_down, crashed };

// What a vCPU had used at a look of `top`.
struct TopSample {
    DomainId domain{};
    VcpuIndex vcpu{};
    Instant at;
    Duration run, wait, home;
};

struct Top;
class RingReader;

class Machine {
public:
    [[nodiscard]] virtual sched::System& system() = 0;
    [[nodiscard]] virtual CpuId self() const = 0;
    [[nodiscard]] virtual Instant now() const = 0;
    // Interrupts off until they are restored to what they were, which the first returns.
    [[nodiscard]] virtual bool interrupts_off() = 0;
    virtual void interrupts_restore(bool were_on) = 0;

    [[nodiscard]] virtual std::string_view name_of(sched::Domain const& domain) const = 0;
    [[nodiscard]] virtual std::uint64_t pages_of(sched::Domain const& domain, NodeId node) const = 0;
    [[nodiscard]] virtual VmCondition condition_of(sched::Domain const& domain) const = 0;
    // Both return when it is done, and must not be called while domains are held.
    [[nodiscard]] virtual Result<DomainId, VmRefusal> create(VmRequest const& request) = 0;
    [[nodiscard]] virtual Status<VmRefusal> destroy(DomainId id) = 0;
    [[nodiscard]] virtual NodeMemory memory_of(NodeId node) const = 0;
    // Nothing: no node has it.
    [[nodiscard]] virtual std::optional<NodeId> node_of(PhysAddr address) const = 0;
    [[nodiscard]] virtual MachineFacts facts() const = 0;
    // What the console showed since boot, line by line.
    virtual void show_log(Reply& reply) = 0;
    // What each pCPU is doing, and what its clock says, a row each.
    virtual void show_registers(Reply& reply) = 0;
    virtual void show_clocks(Reply& reply) = 0;
    // For what must be written down under a lock and shown later.
    [[nodiscard]] virtual std::span<char> scratch() = 0;
    // Room for one reader a pCPU.
    [[nodiscard]] virtual std::span<RingReader> ring_readers() = 0;
    // Looks again and again, until a key is pressed; returns at once.
    virtual void keep_showing(Top const& top) = 0;
    // Ends the machine when the command is over.
    virtual void quit() = 0;

protected:
    constexpr Machine() = default;
    constexpr ~Machine() = default;
    Machine(Machine const&) = default;
    Machine& operator=(Machine const&) = default;
};

// Interrupts off, as the scheduler's core wants its callers.
class Undisturbed {
public:
    [[nodiscard]] explicit Undisturbed(Machine& machine) : machine_{machine}, were_on_{machine.interrupts_off()} {}
    ~Undisturbed() { machine_.interrupts_restore(were_on_); }
    Undisturbed(Undisturbed const&) = delete;
    Undisturbed& operator=(Undisturbed const&) = delete;

private:
    Machine& machine_;
    bool were_on_;
};

// While it lives, domains that were found stay.
class HoldDomains {
public:
    [[nodiscard]] explicit HoldDomains(Machine& machine) : machine_{machine} { hold(true); }
    ~HoldDomains() { hold(false); }
    HoldDomains(HoldDomains const&) = delete;
    HoldDomains& operator=(HoldDomains const&) = delete;

private:
    void hold(bool holds)
    {
        Undisturbed const undisturbed{machine_};
        machine_.system().core().hold_domains(machine_.self(), holds);
    }

    Machine& machine_;
};

// visit(domain) for each, in order of creation. They stay while a command is carried out (Core::hold_domains).
template <typename Visit>
void for_each_domain(Machine& machine, Visit visit)
{
    for (std::uint64_t last{0};;) {
        sched::Domain* const domain{[&] {
            Undisturbed const undisturbed{machine};
            return machine.system().core().next_domain(last);
        }()};
        if (domain == nullptr)
            return;
        last = domain->serial;
        visit(*domain);
    }
}

// What a command is carried out with.
struct Context {
    Machine& machine;
    Reply& reply;

    [[nodiscard]] sched::Core& core() const { return machine.system().core(); }
    [[nodiscard]] Topology const& topology() const { return core().pool().topology(); }
    [[nodiscard]] unsigned pcpu_limit() const { return static_cast<unsigned>(topology().pcpus.size()); }
    [[nodiscard]] sched::DomainView view_of(sched::Domain const& domain) const
    {
        Undisturbed const undisturbed{machine};
        return core().look_at(domain);
    }
    // On all nodes.
    [[nodiscard]] std::uint64_t pages_of(sched::Domain const& domain) const
    {
        std::uint64_t pages{0};
        for (NodeId const node : topology().nodes())
            pages += machine.pages_of(domain, node);
        return pages;
    }
};

// The VM of that name or, failing that, number; says so where there is none.
[[nodiscard]] sched::Domain* find_domain(Context& context, std::string_view name);

} // namespace hv::console
