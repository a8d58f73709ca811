// The hypercall interface, version 2: numbers, errors, limits and the records that go through a guest's memory. Kernel
// and guest image both take them from here; docs/hypercalls.md says what each call does.
//
// A result below zero is an Error; any other is the call's own, most often the time at which the guest goes on, in ns.
// Numbers and records of a version never change. Plain data, no state, no locks. Floor: boot (shared with the host and
// the guest image).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hv::hypercall {

inline constexpr std::uint64_t abi_version = 2;

enum class Number : std::uint64_t {
    null = 0,
    version = 1,
    shutdown = 2,           // (exit code): ends the VM; does not return
    clock = 3,              // (): the time
    compute = 4,            // (ns): uses the pCPU for so long
    compute_until = 5,      // (time)
    touch = 6,              // (address, bytes, write): pages of it on the pCPU's own node
    block = 7,              // (): waits for an event
    poll = 8,               // (time): the same, but not beyond that time
    take_event = 9,         // (): 1, an event was pending and is taken; 0
    yield = 10,             // ()
    set_timer = 11,         // (time, or 0): an event then; replaces the one before; 0: none
    notify = 12,            // (vCPU): an event for a vCPU of the own VM
    notify_any = 13,        // (number): for the machine's vCPU of that number; only where events are a recording's
    console_write = 14,     // (address, bytes)
    vcpu_up = 15,           // (vCPU)
    vcpu_down = 16,         // (vCPU)
    run_state = 17,         // (vCPU, address of a RunStateRecord)
    numa_info = 18,         // (address of a NumaRequest)
    next_steps = 19,        // (address, steps): how many steps of the own recording were copied
    set_segment_base = 20,  // (Segment, address)
    set_fault_handler = 21, // (entry, stack); 0, 0: none
    fault_return = 22,      // (address to go on at, or 0: where the fault was)
};
inline constexpr std::uint64_t number_count = 23;

enum class Error : std::int64_t {
    unknown_call = -1,
    bad_address = -2,   // not all of it is the guest's own memory, with the access that is needed; or it overlaps
    bad_argument = -3,  // out of its range
    too_much = -4,      // more than one call may ask for
    not_permitted = -5, // not this VM, or not now
    try_again = -6,     // not yet
    no_such_vcpu = -7,
};

// What one call may ask for.
inline constexpr std::uint64_t max_console_bytes = 256;
inline constexpr std::uint64_t max_touch_bytes = std::uint64_t{2} << 20;
inline constexpr std::uint64_t max_steps = 64;
inline constexpr std::uint64_t max_time = std::uint64_t{1} << 62;      // ns since boot
inline constexpr std::uint64_t forever = std::uint64_t{1} << 60;       // ns: a phase that never ends
inline constexpr std::uint64_t address_limit = std::uint64_t{1} << 47; // the lower half

enum class Segment : std::uint64_t { fs = 0, gs = 1 };

struct RunStateRecord {
    std::uint64_t state; // 0 runs, 1 is ready, 2 blocked, 3 offline
    std::uint64_t entered_ns;
    std::array<std::uint64_t, 4> spent_ns; // by state, without the present one's last stretch
};
static_assert(sizeof(RunStateRecord) == 48);

// The nodes that the VM has memory on, numbered from 0. The guest says where the tables go and how many rows they have;
// the kernel how many there are, which may be more than it filled in. No two ranges may overlap.
struct NumaRequest {
    std::uint64_t memory_at;    // 8 bytes a node: pages there
    std::uint64_t distances_at; // 1 byte for each pair, [from][to]: node_room columns
    std::uint64_t vcpus_at;     // 1 byte a vCPU: the node where it is; no_node: another one
    std::uint32_t node_room, vcpu_room;
    std::uint32_t nodes, vcpus; // the kernel's
};
static_assert(sizeof(NumaRequest) == 40 && offsetof(NumaRequest, nodes) == 32);
inline constexpr std::uint8_t no_node = 0xff;
inline constexpr std::uint32_t max_numa_nodes = 64;
inline constexpr std::uint32_t max_numa_vcpus = 4096;

} // namespace hv::hypercall
