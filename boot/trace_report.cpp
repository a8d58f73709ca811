#include "boot/trace_report.hpp"

#include "arch/x86_64/console.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/panic.hpp"
#include "arch/x86_64/small_memory.hpp"
#include "boot/console/trace_text.hpp"
#include "sched/vcpu.hpp"

#include <atomic>
#include <new>

namespace hv::boot {
namespace {

using namespace sched::trace;

// One table of names, on a floor that does not know the trace.
static_assert(trace_classes[0].mask == mask_gen && trace_classes[1].mask == mask_sched &&
              trace_classes[2].mask == mask_dom0op && trace_classes[3].mask == mask_hvm &&
              trace_classes[4].mask == mask_mem && trace_classes[5].mask == mask_all);

// Where publish_trace_directory put it.
constinit Directory* directory{nullptr};

void finish(Finish how)
{
    // release: whoever sees it finished also sees the last records.
    std::atomic_ref{directory->finish}.store(how, std::memory_order_release);
}

// The vCPU that runs at the end of a ring, by its records; nothing if none does, or the ring does not say.
std::optional<std::uint32_t> running_at_the_end(Ring const& ring)
{
    std::optional<std::uint32_t> running;
    for (console::RingReader reader{ring}; !reader.at_end(); reader.advance()) {
        console::TraceRecord const record{reader.read()};
        std::optional<RunStateChange> const change{decode_runstate(record.number)};
        if (change && change->to == RunStateCode::running)
            running = record.payload[0];
        else if (change && change->from == RunStateCode::running)
            running.reset();
        else if (record.number == static_cast<std::uint32_t>(Event::continue_running))
            running = record.payload[0];
        else if (record.number == static_cast<std::uint32_t>(Event::lost_records)) // halves the other way round
            running = record.payload[1] << 16 | record.payload[1] >> 16;
    }
    return running;
}

void close_after_panic(void* self) noexcept
{
    auto& tracer = *static_cast<Tracer*>(self);
    print_trace_tail(tracer, 16); // what led here, before what closes the trace
    salvage_trace(tracer);
    finish(Finish::panicked);
}

} // namespace

sched::trace::Mode trace_mode_of(Options const& options)
{
    switch (options.trace_mode) {
    case TraceMode::drop:
        return Mode::drop;
    case TraceMode::stop:
        return Mode::stop;
    case TraceMode::flight:
        return Mode::flight;
    }
    return Mode::drop;
}

void choose_traced_pcpus(Tracer& tracer, Options const& options)
{
    if (!options.trace_cpus)
        return;
    std::size_t const count{tracer.rings().size()};
    // A range without end means "as many as there are".
    if (unsigned const highest{options.trace_cpus->highest()}; highest >= count && highest != TraceCpus::capacity - 1)
        arch::say("warning: trace_cpus= names pCPU {}, but the machine has {}; those that there are will do", highest,
                  count);
    CpuMask traced;
    for (unsigned i = 0; i < count; ++i)
        if (options.trace_cpus->test(i))
            traced.set(CpuId{static_cast<CpuId::Rep>(i)});
    tracer.set_pcpus(traced);
}

bool publish_trace_directory(Tracer& tracer)
{
    std::size_t const rings{tracer.rings().size()};
    void* const memory{
        arch::allocate_memory(NodeId{0}, sizeof(Directory) + rings * sizeof(DirectoryRing), alignof(DirectoryRing))};
    if (memory == nullptr)
        return false;
    directory = ::new (memory) Directory{.pcpu_count = static_cast<std::uint32_t>(rings),
                                         .mask = tracer.mask(),
                                         .mode = rings == 0 ? Mode::drop : tracer.rings()[0].mode()};
    auto* entry = static_cast<DirectoryRing*>(static_cast<void*>(directory + 1));
    for (Ring const& ring : tracer.rings()) {
        ::new (static_cast<void*>(entry++))
            DirectoryRing{.control = arch::physical_of(ring.control()).value(),
                          .data = ring.memory().empty() ? 0 : arch::physical_of(ring.memory().data()).value(),
                          .bytes = ring.memory().size()};
    }
    arch::set_panic_hook(close_after_panic, &tracer);
    arch::tell_host("trace directory={:x}", arch::physical_of(directory).value());
    return true;
}

void mark_trace_closed() { finish(Finish::closed); }

void salvage_trace(Tracer& tracer)
{
    for (std::size_t i = 0; i < tracer.rings().size(); ++i) {
        CpuId const cpu{static_cast<CpuId::Rep>(i)};
        Ring& ring{tracer.ring(cpu)};
        if (ring.memory().empty())
            continue;
        ring.forget_incomplete();
        tracer.begin_close(cpu);
        if (std::optional<std::uint32_t> const running{running_at_the_end(ring)})
            tracer.runstate(cpu, Instant{}, RunStateCode::running, RunStateCode::offline, *running);
        tracer.close(cpu, Instant{});
    }
}

// A pCPU's readers are walked once.
void print_trace_tail(Tracer const& tracer, unsigned count)
{
    static constinit std::array<console::RingReader, 256> readers;
    HV_ASSERT(tracer.rings().size() <= readers.size());
    std::uint64_t total{0};
    for (Ring const& ring : tracer.rings())
        total += ring.memory().empty() ? 0 : console::RingReader{ring}.count_rest();
    arch::say("the last {} records of the trace:", total < count ? total : std::uint64_t{count});
    console::for_last_records(tracer.rings(), readers, count, [](unsigned pcpu, console::TraceRecord const& record) {
        arch::Line line{arch::Output::console};
        line.sink().write("  ");
        console::write_record(line.sink(), pcpu, record);
    });
}

} // namespace hv::boot
