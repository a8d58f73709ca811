// The machine's side of a vCPU that makes hypercalls, for host tests and the fuzzer: memory of a few pages, everything
// that it is asked for written down, and what a Caller is never asked for asserted. Floor: tests.
#pragma once

#include "boot/hypercall/handler.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hv::test {

class FakeCaller final : public hypercall::Caller {
public:
    static constexpr std::uint64_t page_bytes = hypercall::guest_page_bytes;

    struct Page {
        std::array<std::byte, page_bytes> bytes{};
        bool writable{true};
    };

    // Of the guest; everything else is not mapped.
    std::map<std::uint64_t, Page> pages;
    hypercall::Limits own{
        .vcpus = 2, .machine_vcpus = 5, .is_recorded = false, .longest_phase = Duration::from_ms(1000)};
    std::vector<sched::guest::Step> recording;
    std::uint32_t vm_nodes{2};
    bool event{false}, in_fault{false};
    // What it was asked for.
    std::vector<sched::guest::Action> actions;
    std::string console;
    std::optional<Instant> timer;
    std::array<bool, 16> is_up{};
    std::uint64_t steps_taken{0}, base{0}, handler{0}, fault_target{0};

    [[nodiscard]] std::span<std::byte> page(std::uint64_t at, bool writable = true)
    {
        Page& made{pages[at]};
        made.writable = writable;
        return made.bytes;
    }

    std::byte* find(std::uint64_t address, bool write) noexcept override
    {
        HV_ASSERT(address < hypercall::address_limit);
        auto const page = pages.find(address / page_bytes * page_bytes);
        if (page == pages.end() || (write && !page->second.writable))
            return nullptr;
        return page->second.bytes.data() + address % page_bytes;
    }
    hypercall::Limits limits() noexcept override { return own; }
    Instant now() noexcept override { return Instant::at_ns(77); }
    Instant perform(sched::guest::Action const& action) noexcept override
    {
        using Kind = sched::guest::Action::Kind;
        HV_ASSERT(action.kind != Kind::notify || action.partner.value() < own.vcpus);
        HV_ASSERT(action.kind != Kind::notify_any || (own.is_recorded && action.target < own.machine_vcpus));
        HV_ASSERT(action.kind != Kind::compute || action.amount == sched::guest::forever ||
                  (action.amount >= Duration{} && action.amount <= own.longest_phase));
        HV_ASSERT(action.until >= Instant{} && action.until.ns() <= std::int64_t{1} << 62);
        actions.push_back(action);
        return now();
    }
    bool take_event() noexcept override { return std::exchange(event, false); }
    Instant yield() noexcept override { return now(); }
    Status<hypercall::Error> set_timer(Instant when) noexcept override
    {
        HV_ASSERT(when >= Instant{} && when.ns() <= std::int64_t{1} << 62);
        timer = when;
        return done;
    }
    Status<hypercall::Error> write_console(std::string_view text) noexcept override
    {
        HV_ASSERT(text.size() <= hypercall::max_console_bytes);
        for (char const c : text)
            HV_ASSERT(c >= ' ' && c <= '~');
        if (console.size() + text.size() > 1024)
            return fail(hypercall::Error::try_again);
        console += text;
        return done;
    }
    Status<hypercall::Error> set_vcpu_up(VcpuIndex vcpu, bool up) noexcept override
    {
        HV_ASSERT(vcpu.value() < own.vcpus);
        is_up.at(vcpu.value() % is_up.size()) = up;
        return done;
    }
    hypercall::RunStateRecord run_state(VcpuIndex vcpu) noexcept override
    {
        HV_ASSERT(vcpu.value() < own.vcpus);
        return {.state = 1, .entered_ns = 2, .spent_ns = {3, 4, 5, 6}};
    }
    bool is_local(std::byte const*) noexcept override { return true; }
    std::uint32_t nodes() noexcept override { return vm_nodes; }
    std::uint64_t pages_on(std::uint32_t node) noexcept override
    {
        HV_ASSERT(node < vm_nodes);
        return 100 + node;
    }
    std::uint8_t distance(std::uint32_t from, std::uint32_t to) noexcept override
    {
        HV_ASSERT(from < vm_nodes && to < vm_nodes);
        return from == to ? 10 : 20;
    }
    std::uint8_t node_of(VcpuIndex vcpu) noexcept override
    {
        HV_ASSERT(vcpu.value() < own.vcpus);
        return vcpu.value() == 0 ? 1 : hypercall::no_node;
    }
    std::span<sched::guest::Step const> steps(std::uint64_t most) noexcept override
    {
        HV_ASSERT(own.is_recorded && most <= hypercall::max_steps);
        auto const left = std::span<sched::guest::Step const>{recording}.subspan(steps_taken);
        return left.first(std::min<std::size_t>(left.size(), most));
    }
    void take_steps(std::uint64_t count) noexcept override
    {
        steps_taken += count;
        HV_ASSERT(steps_taken <= recording.size());
    }
    void set_segment_base(hypercall::Segment, std::uint64_t to) noexcept override
    {
        HV_ASSERT(to < hypercall::address_limit);
        base = to;
    }
    void set_fault_handler(std::uint64_t entry, std::uint64_t stack) noexcept override
    {
        HV_ASSERT(entry < hypercall::address_limit && stack < hypercall::address_limit);
        handler = entry;
    }
    bool return_from_fault(std::uint64_t address) noexcept override
    {
        HV_ASSERT(address < hypercall::address_limit);
        fault_target = address;
        return std::exchange(in_fault, false);
    }
};

} // namespace hv::test
