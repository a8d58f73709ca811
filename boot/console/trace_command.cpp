// trace: what is recorded, and the last of it in words.
#include "boot/console/executor.hpp"
#include "boot/console/trace_text.hpp"
#include "boot/info/trace_options.hpp"

namespace hv::console {
namespace {

using namespace sched::trace;

void show_status(Context& context)
{
    Reply& reply{context.reply};
    Tracer& tracer{context.machine.system().tracer()};
    std::uint32_t const mask{tracer.mask()};
    reply.text("mask {:x}:", mask);
    reply.value("mask", mask);
    reply.begin_list("classes");
    bool any{false};
    for (boot::TraceClass const& one : boot::trace_classes) {
        bool const is_on{(mask & one.mask) == one.mask};
        any |= is_on;
        if (is_on && (one.mask != mask_all || mask == mask_all))
            reply.field("", " {}", one.name);
    }
    reply.end_list();
    reply.text("{}", mask == 0 ? " off" : any ? "" : " (parts)");
    reply.end_row();
    reply.heading("pCPU    KiB   bytes kept   bytes written       lost");
    for (std::size_t i = 0; i < tracer.rings().size(); ++i) {
        Ring const& ring{tracer.rings()[i]};
        RingControl const& control{*ring.control()};
        // Hints, each by itself: the ring is being written.
        std::uint64_t const head{__atomic_load_n(&control.head, __ATOMIC_ACQUIRE)};
        std::uint64_t const tail{__atomic_load_n(&control.tail, __ATOMIC_ACQUIRE)};
        reply.field("cpu", "{:4}", i);
        reply.field("kib", " {:6}", ring.memory().size() / 1024);
        reply.field("kept", " {:12}", head > tail ? head - tail : 0);
        reply.field("written", " {:15}", head);
        reply.field("lost", " {:10}", __atomic_load_n(&control.lost_total, __ATOMIC_RELAXED));
        reply.field("muted", "{}", ring.is_muted() ? " muted" : "");
        reply.end_row();
    }
}

// One row a record; the rings' readers lie here, which is why nobody else may come in between: there is one console.
void show_last(Context& context, std::uint32_t count)
{
    Tracer& tracer{context.machine.system().tracer()};
    std::span<RingReader> const readers{context.machine.ring_readers()};
    if (readers.size() < tracer.rings().size())
        return context.reply.refuse("trace: no memory to read {} rings", tracer.rings().size());
    bool any{false};
    for_last_records(tracer.rings(), readers, count, [&](unsigned pcpu, TraceRecord const& record) {
        any = true;
        std::array<char, 256> buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): the sink fills what is used.
        BufferSink sink{buffer};
        write_record(sink, pcpu, record);
        context.reply.text("{}", sink.text());
        context.reply.value("cpu", pcpu);
        context.reply.value("stamp_ns", record.stamp);
        context.reply.value("event", record.number);
        context.reply.begin_list("words");
        for (unsigned i = 0; i < record.words; ++i)
            context.reply.value("", record.payload[i]);
        context.reply.end_list();
        context.reply.value("text", sink.text());
        context.reply.end_row();
    });
    if (!any)
        context.reply.heading("The rings are empty: nothing is traced, or a host takes the records as they come.");
}

} // namespace

void run(Context& context, Trace const& trace)
{
    if (trace.mask)
        context.machine.system().tracer().set_mask(*trace.mask);
    else if (trace.last)
        show_last(context, *trace.last);
    else
        show_status(context);
}

} // namespace hv::console
