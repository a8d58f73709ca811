#include "boot/console/trace_text.hpp"

#include "sched/vcpu.hpp"

#include <atomic>
#include <cstring>

namespace hv::console {
namespace {

using namespace sched::trace;

constexpr std::array state_names{"running", "runnable", "blocked", "offline"};

void print_vcpu(Sink& sink, std::uint32_t domain, std::uint32_t vcpu)
{
    if (domain == sched::idle_domain_id.value())
        print(sink, " idle{}", vcpu);
    else
        print(sink, " d{}v{}", domain, vcpu);
}

void print_fields(Sink& sink, EventInfo const& info, TraceRecord const& record)
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

// acquire: whoever sees a head also sees the records before it.
std::uint64_t position(std::uint64_t const& at) { return __atomic_load_n(&at, __ATOMIC_ACQUIRE); }

} // namespace

RingReader::RingReader(Ring const& ring)
    : ring_{&ring}, at_{position(ring.control()->tail)}, end_{position(ring.control()->head)}
{
}

TraceRecord RingReader::read() const
{
    TraceRecord record{.number = word(0) & 0x0fff'ffff, .words = words(), .stamp = stamp(), .payload = {}};
    for (unsigned i = 0; i < record.words; ++i)
        record.payload[i] = word(3 + i);
    return record;
}

bool RingReader::is_intact() const { return position(ring_->control()->tail) <= at_; }

std::uint64_t RingReader::count_rest() const
{
    std::uint64_t count{0};
    for (RingReader rest{*this}; !rest.at_end(); rest.advance())
        ++count;
    return count;
}

std::uint32_t RingReader::word(unsigned index) const
{
    std::uint32_t value;
    std::memcpy(&value, ring_->memory().data() + ((at_ + 4 * index) & (ring_->memory().size() - 1)), sizeof value);
    return value;
}

void write_record(Sink& sink, unsigned pcpu, TraceRecord const& record)
{
    print(sink, "{:4}.{:09} pcpu {:<3} ", record.stamp / 1'000'000'000, record.stamp % 1'000'000'000, pcpu);
    EventInfo const* const info{find_event(record.number)};
    if (auto const change = decode_runstate(record.number))
        print(sink, "{} -> {}", state_names[static_cast<unsigned>(change->from)],
              state_names[static_cast<unsigned>(change->to)]);
    else if (info == nullptr)
        return print(sink, "event {:x}", record.number);
    else
        sink.write(info->name);
    if (info != nullptr)
        print_fields(sink, *info, record);
}

} // namespace hv::console
