// VMs: what belongs to a domain beside its scheduler data, memory and address space and name, and what is done with a
// whole one: made, paused, ended.
//
// A VM ends by itself, when it shuts down or a fault without handler stops it for good: its vCPUs never run again then,
// and a line on the console says why. Memory is its account's; pages for the address space, each vCPU's State and stack
// are charged to it on top of what it was given. It goes when somebody destroys it (vm_life.hpp).
//
// Locking: making and ending VMs (vm_life.hpp too) is one task's business, one call at a time; the state may be read by
// anybody. Interrupts off. Floor: boot.
#pragma once

#include "arch/generic/list.hpp"
#include "arch/generic/mask.hpp"
#include "boot/guest_space.hpp"
#include "boot/vm_console.hpp"
#include "sched/system.hpp"

#include <atomic>
#include <string_view>

namespace hv::boot {

struct VmMachine;

enum class VmState : std::uint8_t {
    runs, // unless it is paused
    shut_down,
    crashed,
};

struct VmsTag;

struct Vm : ListNode<VmsTag> {
    static constexpr std::size_t longest_name = 31;

    // `nodes`: where its memory is, not empty.
    Vm(sched::Domain& d, mm::DomainAccount& a, std::string_view called, NodeMask on);

    [[nodiscard]] std::string_view name() const { return {name_.data(), name_length_}; }
    [[nodiscard]] VmState state() const { return state_.load(std::memory_order_relaxed); }
    // Of one that has crashed: the exception.
    [[nodiscard]] std::uint64_t fault() const { return fault_.load(std::memory_order_relaxed); }
    // Of one that has shut down.
    [[nodiscard]] std::uint64_t exit_code() const { return exit_code_.load(std::memory_order_relaxed); }

    sched::Domain& domain;
    mm::DomainAccount& account;
    NodeMask const nodes;
    GuestSpace space;
    ConsoleBudget console;
    std::uint32_t pauses{0};             // of vm_life.hpp
    std::atomic<std::uint32_t> tasks{0}; // of its vCPUs; when a destroyed VM has none, nobody refers to it any more

private:
    friend class VmEnd;

    std::array<char, longest_name> name_{};
    std::size_t name_length_{0};
    std::atomic<std::uint64_t> exit_code_{0}, fault_{0};
    std::atomic<VmState> state_{VmState::runs};
};

enum class VmError : std::uint8_t {
    no_such_vm,
    no_memory,
    no_id, // all domain numbers are in use
    too_many_vcpus,
    bad_affinity, // it leaves no pCPU
    odd_vcpus,    // of a workload for pairs
    no_model,     // the workload needs the memory cost model, and there is none
    not_paused,
};
[[nodiscard]] std::string_view text_of(VmError error);

// What the VM runs: the guest image, or a program of at most a page, which finds its State's page empty but for
// `words`.
struct VmProgram {
    std::span<std::byte const> code{}; // empty: the guest image
    std::span<std::uint64_t const> words{};
};

// A VM for a domain whose vCPUs and guests exist but have not been started, with a task in ring 3 for each of them.
// Errors: no_memory; tasks go with the domain then.
[[nodiscard]] Result<Vm*, VmError> make_vm(VmMachine& machine, sched::Domain& domain, mm::DomainAccount& account,
                                           std::string_view name, VmProgram const& program = {});
// nullptr: there is none.
[[nodiscard]] Vm* find_vm(VmMachine& machine, DomainId id);

// Ends a VM from one of its own vCPUs: none of them runs again. Only the first call does anything, and says so.
class VmEnd {
public:
    [[nodiscard]] static bool shut_down(VmMachine& machine, Vm& vm, std::uint64_t exit_code);
    [[nodiscard]] static bool crash(VmMachine& machine, Vm& vm, std::uint64_t exception);

private:
    static bool end(VmMachine& machine, Vm& vm, VmState how);
};

} // namespace hv::boot
