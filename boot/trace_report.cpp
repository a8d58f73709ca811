#include "boot/trace_report.hpp"

#include "arch/x86_64/console.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/panic.hpp"
#include "arch/x86_64/small_memory.hpp"
#include "sched/vcpu.hpp"

#include <atomic>
#include <cstring>
#include <new>

namespace hv::boot {
namespace {

using namespace sched::trace;

// One table of names, on a floor that does not know the trace.
static_assert(trace_classes[0].mask == mask_gen && trace_classes[1].mask == mask_sched &&
              trace_classes[2].mask == mask_dom0op && trace_classes[3].mask == mask_hvm &&
              trace_classes[4].mask == mask_mem && trace_classes[5].mask == mask_all);

struct Record {
    std::uint32_t number;
    std::uint32_t words;
    std::uint64_t stamp;
    std::array<std::uint32_t, max_words> payload;
};

// Goes through one ring from its oldest record; every record of ours carries a stamp.
class RingReader {
public:
    constexpr RingReader() = default;
    explicit RingReader(Ring const& ring) : ring_{&ring}, at_{ring.control()->tail} {}

    [[nodiscard]] bool at_end() const { return ring_ == nullptr || at_ >= ring_->control()->head; }
    [[nodiscard]] std::uint64_t stamp() const { return word(1) | std::uint64_t{word(2)} << 32; }
    [[nodiscard]] Record read() const
    {
        Record record{.number = word(0) & 0x0fff'ffff, .words = words(), .stamp = stamp(), .payload = {}};
        for (unsigned i = 0; i < record.words; ++i)
            record.payload[i] = word(3 + i);
        return record;
    }
    void advance() { at_ += 4 * (3 + words()); }
    [[nodiscard]] std::uint64_t count_rest() const
    {
        std::uint64_t count{0};
        for (RingReader rest{*this}; !rest.at_end(); rest.advance())
            ++count;
        return count;
    }

private:
    [[nodiscard]] std::uint32_t words() const { return word(0) >> 28 & 7; }
    [[nodiscard]] std::uint32_t word(unsigned index) const
    {
        std::uint32_t value;
        std::memcpy(&value, ring_->memory().data() + ((at_ + 4 * index) & (ring_->memory().size() - 1)), sizeof value);
        return value;
    }

    Ring const* ring_{nullptr};
    std::uint64_t at_{0};
};

constexpr std::array state_names{"running", "runnable", "blocked", "offline"};

void print_vcpu(Sink& sink, std::uint32_t domain, std::uint32_t vcpu)
{
    if (domain == sched::idle_domain_id.value())
        print(sink, " idle{}", vcpu);
    else
        print(sink, " d{}v{}", domain, vcpu);
}

void print_fields(Sink& sink, EventInfo const& info, Record const& record)
{
    for (unsigned i = 0; i < info.words() && i < record.words; ++i) {
        std::uint32_t const word{record.payload[i]};
        switch (info.fields[i]) {
        case Field::domain: // its vCPU follows in the next word, where there is one
            print_vcpu(sink, word, i + 1 < record.words ? record.payload[i + 1] : 0);
            break;
        case Field::vcpu:
            break;
        case Field::packed_vcpu:
            if (info.event == Event::lost_records) // halves the other way round
                print_vcpu(sink, word & 0xffff, word >> 16);
            else
                print_vcpu(sink, word >> 16, word & 0xffff);
            break;
        case Field::pcpu:
            print(sink, " pcpu {}", word);
            break;
        case Field::nanoseconds:
            print(sink, " {} ns", word);
            break;
        case Field::signed_count:
            print(sink, " {}", static_cast<std::int32_t>(word));
            break;
        case Field::count:
        case Field::packed_schedule:
            print(sink, " {}", word);
            break;
        case Field::none:
            break;
        }
    }
}

void print_record(unsigned pcpu, Record const& record)
{
    arch::Line line{arch::Output::console};
    Sink& sink{line.sink()};
    print(sink, "  {:4}.{:09} pcpu {:<3} ", record.stamp / 1'000'000'000, record.stamp % 1'000'000'000, pcpu);
    EventInfo const* const info{find_event(record.number)};
    if (auto const change = decode_runstate(record.number)) {
        print(sink, "{} -> {}", state_names[static_cast<unsigned>(change->from)],
              state_names[static_cast<unsigned>(change->to)]);
    } else if (info == nullptr) {
        print(sink, "event {:x}", record.number);
        return;
    } else {
        sink.write(info->name);
    }
    if (info != nullptr)
        print_fields(sink, *info, record);
}

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
    for (RingReader reader{ring}; !reader.at_end(); reader.advance()) {
        Record const record{reader.read()};
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

// Merges the rings by stamp: skip until only `count` records are left, print those. A pCPU's readers are walked once.
void print_trace_tail(Tracer const& tracer, unsigned count)
{
    static constinit std::array<RingReader, 256> readers;
    std::size_t const rings{tracer.rings().size()};
    HV_ASSERT(rings <= readers.size());
    std::uint64_t total{0};
    for (std::size_t i = 0; i < rings; ++i) {
        readers[i] = tracer.rings()[i].memory().empty() ? RingReader{} : RingReader{tracer.rings()[i]};
        std::uint64_t const mine{readers[i].count_rest()};
        // No more than `count` of one ring can be among the last `count` of all.
        for (std::uint64_t skip = mine > count ? mine - count : 0; skip > 0; --skip)
            readers[i].advance();
        total += mine > count ? count : mine;
    }
    arch::say("the last {} records of the trace:", total < count ? total : std::uint64_t{count});
    for (; total > 0; --total) {
        std::size_t first{rings};
        for (std::size_t i = 0; i < rings; ++i)
            if (!readers[i].at_end() && (first == rings || readers[i].stamp() < readers[first].stamp()))
                first = i;
        if (total <= count)
            print_record(static_cast<unsigned>(first), readers[first].read());
        readers[first].advance();
    }
}

} // namespace hv::boot
