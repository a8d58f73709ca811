// Sabotage of the trace: 200,000 records a second on every pCPU, for a second, into rings that hold a fifth of a
// second of them. Passes if the host takes the records out of the rings as fast as that (nv run --live does).
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/layout.hpp"
#include "boot/selftest.hpp"
#include "boot/trace_report.hpp"
#include "tests/kernel/support.hpp"

#include <arch/env.hpp>

#include <atomic>
#include <new>

namespace hv::test {
namespace {

using namespace sched::trace;

constexpr unsigned most_pcpus = 8;
constexpr unsigned ring_order = 8; // 1 MiB
constexpr std::int64_t records_per_second = 200'000;
constexpr std::int64_t seconds = 1;
constexpr auto gap = Duration::from_ns(1'000'000'000 / records_per_second);

struct Flood {
    arch::Env env;
    alignas(128) std::array<std::byte, most_pcpus * sizeof(Ring)> places;
    std::array<Ring*, most_pcpus> rings{};
    Tracer tracer{env, std::span<Ring* const>{rings}};

    // Never faster, not for long: a pCPU that the host has kept from running does not catch up on what it missed.
    void write() noexcept
    {
        constexpr auto most_late = Duration::from_ms(10);
        CpuId const self{arch::this_cpu()};
        Instant due{arch::clock_now()};
        for (std::int64_t i = 0; i < records_per_second * seconds; ++i) {
            Instant now{arch::clock_now()};
            for (; now < due; now = arch::clock_now())
                arch::relax();
            if (now - due > most_late)
                due = now;
            due = due + gap;
            tracer.emit(self, now, Event::wake, self.value(), static_cast<std::uint32_t>(i));
        }
        tracer.begin_close(self);
        tracer.close(self, arch::clock_now());
    }
};

// nullptr: no memory. Nothing is given back: the host reads it until the end.
Flood* prepare()
{
    arch::IrqSave const irqs; // as whoever allocates has them
    static_assert(sizeof(Flood) <= arch::page_size << 4);
    auto const memory = arch::allocate_pages(NodeId{0}, 4);
    if (!memory)
        return nullptr;
    Flood& flood = *new (arch::direct_map<std::byte>(*memory)) Flood;
    for (unsigned i = 0; i < most_pcpus; ++i) {
        auto const pages = arch::allocate_pages(NodeId{0}, ring_order);
        if (!pages)
            return nullptr;
        flood.rings[i] = new (flood.places.data() + i * sizeof(Ring)) Ring;
        flood.rings[i]->attach({arch::direct_map<std::byte>(*pages), arch::page_size << ring_order}, Mode::drop);
    }
    return boot::publish_trace_directory(flood.tracer) ? &flood : nullptr;
}

} // namespace

HV_SELFTEST(sabotage_trace_flood)
{
    if (boot::kernel().options.khz != 0)
        HV_SKIP("the host takes nothing out of the rings of a run that is to be repeated");
    if (arch::pcpu_count() > most_pcpus)
        HV_SKIP("more pCPUs than this test has rings");
    Flood* const flood = prepare();
    HV_CHECK(flood != nullptr);
    arch::call_on_all([](void* self) { static_cast<Flood*>(self)->write(); }, flood);
    std::uint64_t lost{0};
    for (Ring const& ring : flood->tracer.rings())
        lost += ring.control()->lost_total;
    HV_CHECK(lost == 0);
    boot::mark_trace_closed();
}

} // namespace hv::test
