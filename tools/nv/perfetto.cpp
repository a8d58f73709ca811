#include "tools/nv/perfetto.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hv::nv {

namespace {

using sched::trace::Event;
using Flow = PerfettoWriter::Flow;

// uuids of tracks: small ones are short.
constexpr std::uint64_t waiting_uuid = 1, pcpus_uuid = 2, first_node_uuid = 16, first_pcpu_uuid = 0x100,
                        uuids_of_pcpu = 4, first_domain_uuid = 0x10000, first_vcpu_uuid = 0x20000, uuids_of_vcpu = 4;
enum PcpuTrack : std::uint64_t { runs_track, queue_track, losses_track };
enum VcpuTrack : std::uint64_t { thread_track, credit_track, priority_track };

std::uint64_t uuid_of(std::uint32_t pcpu, PcpuTrack track) { return first_pcpu_uuid + pcpu * uuids_of_pcpu + track; }

std::string join(std::vector<std::uint16_t> const& numbers) { return fmt::format("{}", fmt::join(numbers, ",")); }

} // namespace

PerfettoExporter::PerfettoExporter(ByteSink& sink, TraceFacts const& facts, std::uint64_t hz,
                                   std::span<std::uint32_t const> pcpus)
    : out_{sink}, facts_{facts}, timeline_{hz}
{
    require_nodes(facts, pcpus);
    out_.counter_track(waiting_uuid, 0, "vCPUs that wait", PerfettoWriter::Unit::count);
    if (facts.node_of.empty()) {
        out_.track(pcpus_uuid, 0, "pCPUs", 0);
    } else {
        std::vector<std::uint16_t> nodes{facts.node_of};
        std::ranges::sort(nodes);
        nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
        for (std::uint16_t const node : nodes)
            out_.track(first_node_uuid + node, 0, fmt::format("node {}", node), node);
    }
    for (std::uint32_t const pcpu : pcpus)
        pcpu_of(pcpu);
}

PerfettoExporter::Pcpu& PerfettoExporter::pcpu_of(std::uint32_t number)
{
    if (number >= pcpus_.size())
        pcpus_.resize(number + 1);
    Pcpu& pcpu = pcpus_[number];
    if (!std::exchange(pcpu.is_known, true)) {
        std::uint64_t const parent =
            number < facts_.node_of.size() ? first_node_uuid + facts_.node_of[number] : pcpus_uuid;
        pcpu.idle_name = fmt::format("swapper/{}", number);
        pcpu.tickles = fmt::format("tickle pCPU {}", number);
        out_.track(uuid_of(number, runs_track), parent, fmt::format("pCPU {}", number), number);
    }
    return pcpu;
}

void PerfettoExporter::describe_domain(std::uint16_t domain, std::int32_t pid)
{
    auto const at = std::ranges::lower_bound(domains_, domain);
    if (at != domains_.end() && *at == domain)
        return;
    domains_.insert(at, domain);
    auto const named = facts_.names.find(domain);
    std::string const name =
        named == facts_.names.end() ? fmt::format("d{}", domain) : fmt::format("{} (d{})", named->second, domain);
    auto const place = facts_.domains.find(domain);
    std::string detail;
    if (place != facts_.domains.end() && place->second.home)
        detail += fmt::format("home=node {}", join(*place->second.home));
    if (place != facts_.domains.end() && place->second.hard)
        detail += fmt::format("{}hard=pCPU {}", detail.empty() ? "" : " ", join(*place->second.hard));
    out_.process(pid, name, detail);
    out_.process_track(first_domain_uuid + domain, pid, name);
}

PerfettoExporter::Vcpu& PerfettoExporter::meet(std::size_t index)
{
    // In the timeline's order: at most one is new.
    while (vcpus_.size() <= index) {
        Timeline::Vcpu const& met = timeline_.vcpus()[vcpus_.size()];
        Vcpu& vcpu = vcpus_.emplace_back();
        vcpu.name = met.name();
        if (met.is_idle())
            continue;
        std::int32_t const pid = process_number(met.domain);
        vcpu.tid = thread_number(met, vcpus_.size());
        vcpu.uuid = first_vcpu_uuid + vcpus_.size() * uuids_of_vcpu;
        vcpu.wakes = fmt::format("wakes {}", vcpu.name);
        if (auto const home = facts_.home_of(met.domain, met.vcpu)) {
            vcpu.home.emplace();
            for (std::uint16_t const node : *home)
                vcpu.home->set(NodeId{static_cast<NodeId::Rep>(node)});
        }
        describe_domain(met.domain, pid);
        out_.thread(vcpu.tid, pid, vcpu.name);
        out_.thread_track(vcpu.uuid + thread_track, first_domain_uuid + met.domain, pid, vcpu.tid, vcpu.name);
    }
    return vcpus_[index];
}

PerfettoWriter::Task PerfettoExporter::task_of(std::uint32_t pcpu, std::size_t vcpu)
{
    if (vcpu == Timeline::nobody || meet(vcpu).tid == 0)
        return {0, pcpu_of(pcpu).idle_name};
    return {vcpus_[vcpu].tid, vcpus_[vcpu].name};
}

void PerfettoExporter::set_waiting(std::uint64_t when, Vcpu& vcpu, bool waits)
{
    if (vcpu.waits == waits || vcpu.uuid == 0)
        return;
    vcpu.waits = waits;
    waiting_ += waits ? 1 : -1;
    out_.counter(when, waiting_uuid, waiting_);
}

// The pCPU passes from whom it was said to run to the next one, who may be nobody.
void PerfettoExporter::leave(std::uint64_t when, std::uint32_t pcpu, std::size_t next)
{
    Pcpu& there = pcpu_of(pcpu);
    when = std::max(when, there.last);
    PerfettoWriter::Task const from = task_of(pcpu, there.running), to = task_of(pcpu, next);
    std::int64_t const left = from.tid == 0 ? 0 : linux_state(timeline_.vcpus()[there.running].state);
    if (from.tid != 0 || to.tid != 0)
        out_.sched_switch(when, pcpu, from, left, to);
    if (std::exchange(there.has_slice, false))
        out_.end(when, uuid_of(pcpu, runs_track));
    there.running = next;
    there.last = when;
}

void PerfettoExporter::arrival(Timeline::Step const& step)
{
    meet(step.vcpu);
    leave(step.when, step.pcpu, step.vcpu);
    Vcpu& vcpu = vcpus_[step.vcpu];
    if (vcpu.tid == 0)
        return;
    set_waiting(step.when, vcpu, false);
    vcpu.last_pcpu = step.pcpu;
    std::string_view category;
    if (vcpu.home && step.pcpu < facts_.node_of.size())
        category = vcpu.home->test(NodeId{static_cast<NodeId::Rep>(facts_.node_of[step.pcpu])}) ? "home" : "away";
    out_.begin(pcpus_[step.pcpu].last, uuid_of(step.pcpu, runs_track), vcpu.name, category);
    pcpus_[step.pcpu].has_slice = true;
    if (std::uint64_t const flow = std::exchange(vcpu.flow, 0); flow != 0)
        out_.instant(step.when, vcpu.uuid, "resumed", Flow::ends, flow);
}

void PerfettoExporter::wake(Timeline::Step const& step)
{
    Vcpu& vcpu = meet(step.vcpu);
    Pcpu& there = pcpu_of(step.pcpu);
    if (vcpu.tid == 0)
        return;
    set_waiting(step.when, vcpu, true);
    std::size_t const waker = there.running;
    std::int32_t const waker_tid = task_of(step.pcpu, waker).tid;
    there.last = std::max(there.last, step.when);
    out_.waking(there.last, step.pcpu, waker_tid, {vcpu.tid, vcpu.name}, vcpu.last_pcpu);
    if (vcpu.flow != 0) // woken twice: what came between is lost
        out_.instant(step.when, vcpu.uuid, "woken again", Flow::ends, vcpu.flow);
    vcpu.flow = ++flows_;
    std::uint64_t const from = waker_tid == 0 ? uuid_of(step.pcpu, runs_track) : vcpus_[waker].uuid;
    out_.instant(step.when, from, vcpu.wakes, Flow::begins, vcpu.flow);
}

void PerfettoExporter::loss(Timeline::Step const& step, std::uint32_t count)
{
    leave(step.lost_from, step.pcpu, Timeline::nobody);
    Pcpu& there = pcpu_of(step.pcpu);
    out_.lost(step.pcpu);
    std::uint64_t const uuid = uuid_of(step.pcpu, losses_track);
    if (!std::exchange(there.has_losses, true))
        out_.track(uuid, uuid_of(step.pcpu, runs_track), "lost records", losses_track);
    out_.begin(step.lost_from, uuid, fmt::format("{} records lost", count), "loss");
    out_.end(std::max(step.when, step.lost_from), uuid);
}

PerfettoExporter::Vcpu* PerfettoExporter::guest(std::uint32_t packed)
{
    Vcpu& vcpu = meet(timeline_.find(packed));
    return vcpu.uuid == 0 ? nullptr : &vcpu;
}

void PerfettoExporter::count(std::uint64_t when, std::uint64_t uuid, std::uint64_t parent, char const* name,
                             bool& has_track, std::uint32_t value)
{
    if (!std::exchange(has_track, true))
        out_.counter_track(uuid, parent, name, PerfettoWriter::Unit::none);
    out_.counter(when, uuid, static_cast<std::int32_t>(value));
}

// Events that are no run states: instants and counters.
void PerfettoExporter::other(Timeline::Step const& step, Record const& record)
{
    auto const& word = record.word_store;
    auto const need = [&](unsigned words) { return record.word_count >= words; };
    auto const pair = [&](unsigned at) {
        return sched::trace::pack_vcpu(static_cast<std::uint16_t>(word[at]), static_cast<std::uint16_t>(word[at + 1]));
    };
    auto const mark = [&](std::uint32_t packed, std::string_view text) {
        if (Vcpu const* const vcpu = guest(packed))
            out_.instant(step.when, vcpu->uuid, text);
    };
    switch (static_cast<Event>(record.event)) {
    case Event::credit:
        if (Vcpu* const vcpu = need(2) ? guest(word[0]) : nullptr)
            count(step.when, vcpu->uuid + credit_track, vcpu->uuid, "credit", vcpu->has_credit, word[1]);
        return;
    case Event::prio:
        if (Vcpu* const vcpu = need(3) ? guest(word[0]) : nullptr)
            count(step.when, vcpu->uuid + priority_track, vcpu->uuid, "priority", vcpu->has_priority, word[2]);
        return;
    case Event::run_queue:
        if (need(2) && word[0] < CpuMask::capacity)
            count(step.when, uuid_of(word[0], queue_track), uuid_of(word[0], runs_track), "queue",
                  pcpu_of(word[0]).has_queue, word[1]);
        return;
    case Event::tickle:
        if (need(1) && word[0] < CpuMask::capacity)
            out_.instant(step.when, uuid_of(step.pcpu, runs_track), pcpu_of(word[0]).tickles);
        return;
    case Event::stolen_vcpu:
        return need(3) ? mark(pair(1), fmt::format("stolen from pCPU {}", word[0])) : void();
    case Event::boost_start:
        return need(2) ? mark(pair(0), "boost") : void();
    case Event::boost_end:
        return need(2) ? mark(pair(0), "boost ends") : void();
    case Event::cap:
        return need(2) ? mark(word[0], word[1] != 0 ? "parked by its cap" : "let go") : void();
    default:
        return;
    }
}

void PerfettoExporter::record(Record const& record)
{
    Timeline::Step const step = timeline_.step(record);
    if (!timeline_.has_started())
        return;
    switch (step.kind) {
    case Timeline::Kind::arrival:
        return arrival(step);
    case Timeline::Kind::departure:
        leave(step.when, step.pcpu, Timeline::nobody);
        [[fallthrough]];
    case Timeline::Kind::change:
        return set_waiting(step.when, meet(step.vcpu), step.to == Timeline::State::runnable);
    case Timeline::Kind::wake:
        return wake(step);
    case Timeline::Kind::loss:
        return loss(step, record.word_count == 0 ? 0 : record.word_store[0]);
    case Timeline::Kind::other:
        return other(step, record);
    }
}

void PerfettoExporter::finish()
{
    std::uint64_t const now = timeline_.now();
    for (std::uint32_t pcpu = 0; pcpu < pcpus_.size(); ++pcpu)
        if (pcpus_[pcpu].has_slice)
            out_.end(std::max(now, pcpus_[pcpu].last), uuid_of(pcpu, runs_track));
    for (Vcpu const& vcpu : vcpus_)
        if (vcpu.flow != 0)
            out_.instant(now, vcpu.uuid, "still waits", Flow::ends, vcpu.flow);
    out_.finish();
}

} // namespace hv::nv
