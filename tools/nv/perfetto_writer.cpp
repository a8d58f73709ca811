#include "tools/nv/perfetto_writer.hpp"

#include "tools/nv/perfetto_fields.hpp"

namespace hv::nv {

namespace {

namespace fields = perfetto;

constexpr std::uint64_t any_priority = 120;     // the middle of the scheduler view's range; nothing is shown of it
constexpr std::uint64_t our_sequence = 1;       // all packets are of one sequence
constexpr std::size_t most_bundle_bytes = 8192; // then it is written
constexpr std::uint64_t most_bundle_ns = 100'000'000;
constexpr std::size_t most_out_bytes = 1u << 20; // that wait for the sink

std::uint64_t wide(std::int32_t number) { return static_cast<std::uint64_t>(std::int64_t{number}); }

} // namespace

template <typename Body>
void PerfettoWriter::packet(Body const& body)
{
    out_.message(fields::trace_packet, [&] {
        out_.number(fields::packet::sequence, our_sequence);
        if (is_first_)
            out_.number(fields::packet::sequence_flags, fields::packet::state_cleared);
        is_first_ = false;
        body();
    });
    flush_if_large();
}

void PerfettoWriter::flush_if_large()
{
    if (out_.size() < most_out_bytes)
        return;
    sink_.write(out_.bytes());
    out_.clear();
}

void PerfettoWriter::process(std::int32_t pid, std::string_view name, std::string_view detail)
{
    packet([&] {
        out_.message(fields::packet::process_tree, [&] {
            out_.message(fields::process_tree::processes, [&] {
                out_.number(fields::process_tree::pid, wide(pid));
                out_.number(fields::process_tree::ppid, 0);
                out_.text(fields::process_tree::cmdline, name);
                if (!detail.empty())
                    out_.text(fields::process_tree::cmdline, detail);
            });
        });
    });
}

void PerfettoWriter::thread(std::int32_t tid, std::int32_t pid, std::string_view name)
{
    packet([&] {
        out_.message(fields::packet::process_tree, [&] {
            out_.message(fields::process_tree::threads, [&] {
                out_.number(fields::process_tree::tid, wide(tid));
                out_.text(fields::process_tree::thread_name, name);
                out_.number(fields::process_tree::thread_pid, wide(pid));
            });
        });
    });
}

void PerfettoWriter::track(std::uint64_t uuid, std::uint64_t parent, std::string_view name, std::uint32_t rank)
{
    packet([&] {
        out_.message(fields::packet::track_descriptor, [&] {
            out_.number(fields::track::uuid, uuid);
            out_.text(fields::track::name, name);
            if (parent != 0)
                out_.number(fields::track::parent, parent);
            out_.number(fields::track::child_ordering, fields::track::by_rank);
            out_.number(fields::track::rank, rank);
        });
    });
}

void PerfettoWriter::process_track(std::uint64_t uuid, std::int32_t pid, std::string_view name)
{
    packet([&] {
        out_.message(fields::packet::track_descriptor, [&] {
            out_.number(fields::track::uuid, uuid);
            out_.message(fields::track::process, [&] {
                out_.number(fields::track::process_pid, wide(pid));
                out_.text(fields::track::process_name, name);
            });
        });
    });
}

void PerfettoWriter::thread_track(std::uint64_t uuid, std::uint64_t parent, std::int32_t pid, std::int32_t tid,
                                  std::string_view name)
{
    packet([&] {
        out_.message(fields::packet::track_descriptor, [&] {
            out_.number(fields::track::uuid, uuid);
            out_.number(fields::track::parent, parent);
            out_.message(fields::track::thread, [&] {
                out_.number(fields::track::thread_pid, wide(pid));
                out_.number(fields::track::thread_tid, wide(tid));
                out_.text(fields::track::thread_name, name);
            });
        });
    });
}

void PerfettoWriter::counter_track(std::uint64_t uuid, std::uint64_t parent, std::string_view name, Unit unit)
{
    packet([&] {
        out_.message(fields::packet::track_descriptor, [&] {
            out_.number(fields::track::uuid, uuid);
            out_.text(fields::track::name, name);
            if (parent != 0)
                out_.number(fields::track::parent, parent);
            out_.message(fields::track::counter, [&] {
                if (unit != Unit::none)
                    out_.number(fields::track::counter_unit, static_cast<std::uint64_t>(unit));
            });
        });
    });
}

template <typename Body>
void PerfettoWriter::track_event(std::uint64_t when, std::uint64_t track, std::uint32_t type, Body const& body)
{
    packet([&] {
        out_.number(fields::packet::timestamp, when);
        out_.message(fields::packet::track_event, [&] {
            out_.number(fields::event::type, type);
            out_.number(fields::event::track_uuid, track);
            body();
        });
    });
}

void PerfettoWriter::begin(std::uint64_t when, std::uint64_t track, std::string_view name, std::string_view category)
{
    track_event(when, track, fields::event::slice_begin, [&] {
        if (!category.empty())
            out_.text(fields::event::categories, category);
        out_.text(fields::event::name, name);
    });
}

void PerfettoWriter::end(std::uint64_t when, std::uint64_t track)
{
    track_event(when, track, fields::event::slice_end, [] {});
}

void PerfettoWriter::instant(std::uint64_t when, std::uint64_t track, std::string_view name, Flow flow,
                             std::uint64_t flow_id)
{
    track_event(when, track, fields::event::instant, [&] {
        out_.text(fields::event::name, name);
        if (flow != Flow::none)
            out_.fixed64(flow == Flow::begins ? fields::event::flow_ids : fields::event::terminating_flow_ids, flow_id);
    });
}

void PerfettoWriter::counter(std::uint64_t when, std::uint64_t track, std::int64_t value)
{
    track_event(when, track, fields::event::counter,
                [&] { out_.number(fields::event::counter_value, static_cast<std::uint64_t>(value)); });
}

PerfettoWriter::Bundle& PerfettoWriter::bundle_of(std::uint64_t when, std::uint32_t pcpu)
{
    if (pcpu >= bundles_.size())
        bundles_.resize(pcpu + 1);
    Bundle& bundle = bundles_[pcpu];
    if (bundle.events.size() >= most_bundle_bytes ||
        (bundle.events.size() != 0 && when - bundle.since >= most_bundle_ns))
        flush(pcpu);
    if (bundle.events.size() == 0)
        bundle.since = when;
    return bundle;
}

void PerfettoWriter::sched_switch(std::uint64_t when, std::uint32_t pcpu, Task before, std::int64_t left, Task next)
{
    namespace field = fields::sched_switch;
    ProtoWriter& out = bundle_of(when, pcpu).events;
    out.message(fields::bundle::event, [&] {
        out.number(fields::ftrace::timestamp, when);
        out.number(fields::ftrace::pid, wide(before.tid));
        out.message(fields::ftrace::sched_switch, [&] {
            out.text(field::prev_comm, before.name);
            out.number(field::prev_pid, wide(before.tid));
            out.number(field::prev_prio, any_priority);
            out.number(field::prev_state, static_cast<std::uint64_t>(left));
            out.text(field::next_comm, next.name);
            out.number(field::next_pid, wide(next.tid));
            out.number(field::next_prio, any_priority);
        });
    });
}

void PerfettoWriter::waking(std::uint64_t when, std::uint32_t pcpu, std::int32_t waker, Task task, std::uint32_t target)
{
    namespace field = fields::sched_waking;
    ProtoWriter& out = bundle_of(when, pcpu).events;
    out.message(fields::bundle::event, [&] {
        out.number(fields::ftrace::timestamp, when);
        out.number(fields::ftrace::pid, wide(waker));
        out.message(fields::ftrace::sched_waking, [&] {
            out.text(field::comm, task.name);
            out.number(field::pid, wide(task.tid));
            out.number(field::prio, any_priority);
            out.number(field::success, 1);
            out.number(field::target_cpu, target);
        });
    });
}

void PerfettoWriter::lost(std::uint32_t pcpu)
{
    flush(pcpu);
    bundles_[pcpu].lost = true;
}

void PerfettoWriter::flush(std::uint32_t pcpu)
{
    if (pcpu >= bundles_.size())
        bundles_.resize(pcpu + 1);
    Bundle& bundle = bundles_[pcpu];
    if (bundle.events.size() == 0)
        return;
    packet([&] {
        out_.message(fields::packet::ftrace_events, [&] {
            out_.number(fields::bundle::cpu, pcpu);
            if (bundle.lost)
                out_.number(fields::bundle::lost_events, 1);
            out_.append(bundle.events.bytes());
        });
    });
    bundle.events.clear();
    bundle.lost = false;
}

void PerfettoWriter::finish()
{
    for (std::uint32_t pcpu = 0; pcpu < bundles_.size(); ++pcpu)
        flush(pcpu);
    sink_.write(out_.bytes());
    out_.clear();
}

} // namespace hv::nv
