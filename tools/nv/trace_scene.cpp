#include "tools/nv/trace_scene.hpp"

#include "tools/nv/trace_dump.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hv::nv {

namespace {

using namespace sched::trace;

// As in the trace's prio records; Xen's own traces tell only when BOOST begins and ends.
constexpr std::int32_t boost = 0, under = -1, over = -2;

} // namespace

std::string packed_name(std::uint32_t packed) { return vcpu_name(packed >> 16, packed & 0xffff); }

std::string priority_name(std::int32_t priority)
{
    switch (priority) {
    case boost:
        return "BOOST";
    case under:
        return "UNDER";
    case over:
        return "OVER";
    default:
        return fmt::format("priority {}", priority);
    }
}

Scene::Vcpu const* Scene::vcpu(std::uint32_t packed) const
{
    auto const found = vcpus_.find(packed);
    return found == vcpus_.end() ? nullptr : &found->second;
}

Scene::Pcpu const* Scene::pcpu(std::uint32_t number) const
{
    auto const found = pcpus_.find(number);
    return found == pcpus_.end() ? nullptr : &found->second;
}

bool Scene::is_idle(std::uint32_t number) const
{
    Pcpu const* const found = pcpu(number);
    return found != nullptr && found->current && is_idle_vcpu(*found->current);
}

std::vector<std::uint32_t> Scene::waiting_for(std::uint32_t number) const
{
    std::vector<std::uint32_t> waiting;
    for (auto const& [packed, vcpu] : vcpus_)
        if (vcpu.state == RunState::runnable && vcpu.pcpu == number && !is_idle_vcpu(packed))
            waiting.push_back(packed);
    std::ranges::stable_sort(waiting, {}, [&](std::uint32_t packed) { return vcpus_.at(packed).since; });
    return waiting;
}

void Scene::record(Record const& record)
{
    if (!started_ && !record.has_stamp)
        return;
    if (!started_)
        first_ = now_ = record.stamp;
    started_ = true;
    now_ = std::max(now_, record.stamp);
    pcpus_.try_emplace(record.pcpu);
    if (record.word_count == 0)
        return;
    if (std::optional<RunStateChange> const to = decode_runstate(record.event)) {
        change(record, *to);
    } else if (record.event == static_cast<std::uint32_t>(Event::continue_running)) {
        auto const [at, is_new] = vcpus_.try_emplace(record.word_store[0]);
        if (is_new) {
            at->second.state = RunState::running;
            at->second.since = now_;
            arrive(record.pcpu, record.word_store[0]);
        }
    } else {
        told(record);
    }
}

void Scene::change(Record const& record, RunStateChange to)
{
    std::uint32_t const packed = record.word_store[0];
    Vcpu& vcpu = vcpus_[packed];
    if (to.from == RunState::blocked && to.to != RunState::running) {
        vcpu.woken_on = record.pcpu;
        Pcpu const& there = pcpus_[record.pcpu];
        vcpu.waker = there.current && !is_idle_vcpu(*there.current) ? there.current : std::nullopt;
    }
    vcpu.state = to.to;
    vcpu.since = now_;
    vcpu.from_blocked = to.from == RunState::blocked;
    if (to.to == RunState::running)
        arrive(record.pcpu, packed);
}

void Scene::arrive(std::uint32_t pcpu, std::uint32_t packed)
{
    vcpus_[packed].pcpu = pcpu;
    pcpus_[pcpu] = {.current = packed, .since = now_};
}

// What schedulers say of vCPUs beside their states.
void Scene::told(Record const& record)
{
    std::uint32_t const first = record.word_store[0];
    auto const word = [&](std::size_t i) { return record.word_store[i]; };
    auto const is_of = [&](std::uint8_t words) { return record.word_count >= words; };
    switch (static_cast<Event>(record.event)) {
    case Event::migrate:
        if (is_of(3))
            vcpus_[first].pcpu = word(2);
        break;
    case Event::credit:
        if (is_of(2))
            vcpus_[first].credit = static_cast<std::int32_t>(word(1));
        break;
    case Event::prio:
        if (is_of(3))
            vcpus_[first].priority = static_cast<std::int32_t>(word(2));
        break;
    case Event::boost_start:
        if (is_of(2))
            vcpus_[pack_vcpu(static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(word(1)))].priority = boost;
        break;
    case Event::boost_end:
        if (is_of(2))
            vcpus_[pack_vcpu(static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(word(1)))].priority = under;
        break;
    case Event::cap:
        if (is_of(2))
            vcpus_[first].parked = word(1) != 0;
        break;
    default:
        break;
    }
}

} // namespace hv::nv
