// The trace's events: one table from which the numbers, the names and the decoders come.
//
// Numbers and payloads are xentrace's (the layouts of Xen 4.17), so that xenalyze and xentrace_format read our traces;
// what Xen has no event for uses scheduler id 7 of the scheduler class (0x22e..), or 0x1f1.. where it is not of the
// scheduler; those tools pass over both. A record's header word is event | words << 28 | has_stamp << 31. No state.
// Floor: sched.
#pragma once

#include "sched/trace/mask.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hv::sched::trace {

enum class Event : std::uint32_t {
    lost_records = 0x0001f001,
    wrap_buffer = 0x0001f002,
    cpu_change = 0x0001f003,
    phase_end = 0x0001f110,    // a workload's phase ended: vCPU, response time (low, high word; all ones: it has none)
    event_missed = 0x0001f111, // an event found the previous one still pending
    runstate_change = 0x00021001, // | old << 8 | new << 4
    continue_running = 0x00021002,
    tasklet = 0x00022001,
    account_start = 0x00022002,
    account_stop = 0x00022003,
    stolen_vcpu = 0x00022004,
    picked_cpu = 0x00022005,
    tickle = 0x00022006,
    boost_start = 0x00022007,
    boost_end = 0x00022008,
    schedule = 0x00022009,
    ratelimit = 0x0002200a,
    steal_check = 0x0002200b, // peer pCPU, 1: it is searched, 0: its lock is taken
    hello = 0x00022e01,       // version, kHz of the stamps, pCPUs, KiB of this pCPU's ring
    credit = 0x00022e02,      // vCPU, its credit, change, CreditReason
    prio = 0x00022e03,        // vCPU, old, new priority
    run_queue = 0x00022e04,   // pCPU, vCPUs that wait there, the first of its queue
    account = 0x00022e05,     // total weight, credit handed out, balance, active domains
    cap = 0x00022e06,         // vCPU, 1: parked by its domain's cap, 0: let go
    ipi = 0x00022e07,         // pCPU that is asked to reschedule, IpiReason
    stats = 0x00022e0f,       // bytes recorded (low, high word), records lost, records overwritten
    tick = 0x00022e10,
    migrate = 0x00022e11,
    domain_add = 0x00028001,
    domain_remove = 0x00028002,
    sleep = 0x00028003,
    wake = 0x00028004,
    yield = 0x00028005,
    block = 0x00028006,
    adjust_domain = 0x00028009,
    switch_to = 0x0002800a,
    switch_infprev = 0x0002800e,
    switch_infnext = 0x0002800f,
    switch_infcont = 0x00028011,
    domain_create = 0x00041001,
    domain_destroy = 0x00041002,
};

enum class CreditReason : std::uint32_t { burn = 1, refill = 2, cap = 3, reset = 4 };
enum class IpiReason : std::uint32_t { wake = 1, sleep = 2, pull = 3 };

inline constexpr unsigned max_words = 7;

// How one payload word is to be read.
enum class Field : std::uint8_t {
    none,
    domain,
    vcpu,
    pcpu,
    packed_vcpu, // domain << 16 | vCPU
    count,
    nanoseconds,
    signed_count,
    packed_schedule, // pCPU | tasklet << 16 | current-is-idle << 24
};

struct EventInfo {
    Event event;
    std::string_view name;
    std::array<Field, max_words> fields;

    [[nodiscard]] constexpr unsigned words() const
    {
        unsigned count{0};
        while (count < max_words && fields[count] != Field::none)
            ++count;
        return count;
    }
};

// Ascending by number. runstate_change stands for all its sixteen numbers.
inline constexpr std::array event_table = [] {
    using enum Field;
    return std::array{
        EventInfo{Event::lost_records, "lost_records", {count, packed_vcpu, count, count}},
        EventInfo{Event::wrap_buffer, "wrap_buffer", {}},
        EventInfo{Event::cpu_change, "cpu_change", {pcpu, count}},
        EventInfo{Event::phase_end, "numavisor:phase_end", {packed_vcpu, count, count}},
        EventInfo{Event::event_missed, "numavisor:event_missed", {packed_vcpu}},
        EventInfo{Event::runstate_change, "runstate_change", {packed_vcpu}},
        EventInfo{Event::continue_running, "continue_running", {packed_vcpu}},
        EventInfo{Event::tasklet, "csched:sched_tasklet", {}},
        EventInfo{Event::account_start, "csched:account_start", {domain, vcpu, count}},
        EventInfo{Event::account_stop, "csched:account_stop", {domain, vcpu, count}},
        EventInfo{Event::stolen_vcpu, "csched:stolen_vcpu", {pcpu, domain, vcpu}},
        EventInfo{Event::picked_cpu, "csched:picked_cpu", {domain, vcpu, pcpu}},
        EventInfo{Event::tickle, "csched:tickle", {pcpu}},
        EventInfo{Event::boost_start, "csched:boost_start", {domain, vcpu}},
        EventInfo{Event::boost_end, "csched:boost_end", {domain, vcpu}},
        EventInfo{Event::schedule, "csched:schedule", {packed_schedule}},
        EventInfo{Event::ratelimit, "csched:ratelimit", {packed_vcpu, nanoseconds}},
        EventInfo{Event::steal_check, "csched:steal_check", {pcpu, count}},
        EventInfo{Event::hello, "numavisor:hello", {count, count, count, count}},
        EventInfo{Event::credit, "numavisor:credit", {packed_vcpu, signed_count, signed_count, count}},
        EventInfo{Event::prio, "numavisor:prio", {packed_vcpu, signed_count, signed_count}},
        EventInfo{Event::run_queue, "numavisor:run_queue", {pcpu, count, packed_vcpu}},
        EventInfo{Event::account, "numavisor:account", {count, count, signed_count, count}},
        EventInfo{Event::cap, "numavisor:cap", {packed_vcpu, count}},
        EventInfo{Event::ipi, "numavisor:ipi", {pcpu, count}},
        EventInfo{Event::stats, "numavisor:stats", {count, count, count, count}},
        EventInfo{Event::tick, "numavisor:tick", {packed_vcpu}},
        EventInfo{Event::migrate, "numavisor:migrate", {packed_vcpu, pcpu, pcpu}},
        EventInfo{Event::domain_add, "domain_add", {domain}},
        EventInfo{Event::domain_remove, "domain_remove", {domain}},
        EventInfo{Event::sleep, "vcpu_sleep", {domain, vcpu}},
        EventInfo{Event::wake, "vcpu_wake", {domain, vcpu}},
        EventInfo{Event::yield, "vcpu_yield", {domain, vcpu}},
        EventInfo{Event::block, "vcpu_block", {domain, vcpu}},
        EventInfo{Event::adjust_domain, "sched_adjust", {domain}},
        EventInfo{Event::switch_to, "sched_switch", {domain, vcpu, domain, vcpu}},
        EventInfo{Event::switch_infprev, "switch_infprev", {domain, vcpu, nanoseconds}},
        EventInfo{Event::switch_infnext, "switch_infnext", {domain, vcpu, nanoseconds, nanoseconds}},
        EventInfo{Event::switch_infcont, "switch_infcont", {domain, vcpu, nanoseconds, nanoseconds}},
        EventInfo{Event::domain_create, "domain_create", {domain}},
        EventInfo{Event::domain_destroy, "domain_destroy", {domain}},
    };
}();

static_assert(
    [] {
        for (std::size_t i = 1; i < event_table.size(); ++i)
            if (event_table[i - 1].event >= event_table[i].event)
                return false;
        return true;
    }(),
    "the event table is ascending, without doubles");
static_assert(
    [] {
        for (EventInfo const& info : event_table)
            if (auto const number = static_cast<std::uint32_t>(info.event); place_of(number) != passing(number))
                return false;
        return true;
    }(),
    "each event is of one class");

// Run states, as bits 8-9 (old) and 4-5 (new) of runstate_change's number.
enum class RunStateCode : std::uint8_t { running = 0, runnable = 1, blocked = 2, offline = 3 };

[[nodiscard]] constexpr std::uint32_t runstate_event(RunStateCode from, RunStateCode to)
{
    return static_cast<std::uint32_t>(Event::runstate_change) | static_cast<std::uint32_t>(from) << 8 |
           static_cast<std::uint32_t>(to) << 4;
}

struct RunStateChange {
    RunStateCode from, to;
};

// What a number of the form runstate_change | old << 8 | new << 4 says; nothing for any other number.
[[nodiscard]] constexpr std::optional<RunStateChange> decode_runstate(std::uint32_t number)
{
    if ((number & ~std::uint32_t{0x330}) != static_cast<std::uint32_t>(Event::runstate_change))
        return std::nullopt;
    return RunStateChange{static_cast<RunStateCode>((number >> 8) & 3), static_cast<RunStateCode>((number >> 4) & 3)};
}

[[nodiscard]] constexpr EventInfo const* find_event(std::uint32_t number)
{
    if (decode_runstate(number))
        number = static_cast<std::uint32_t>(Event::runstate_change);
    for (EventInfo const& info : event_table)
        if (static_cast<std::uint32_t>(info.event) == number)
            return &info;
    return nullptr;
}

// A vCPU in one word, as runstate_change has it. lost_records has the halves the other way round.
[[nodiscard]] constexpr std::uint32_t pack_vcpu(std::uint16_t domain, std::uint16_t vcpu)
{
    return static_cast<std::uint32_t>(domain) << 16 | vcpu;
}

} // namespace hv::sched::trace
