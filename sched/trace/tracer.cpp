#include "sched/trace/tracer.hpp"

namespace hv::sched::trace {

void Tracer::set_pcpus(CpuMask const& pcpus)
{
    for (std::size_t i = 0; i < rings_.size(); ++i)
        rings_[i]->set_muted(!pcpus.test(CpuId{static_cast<CpuId::Rep>(i)}));
}

void Tracer::set_listener(Listener listener)
{
    listener_ = listener;
    if (listener.event != nullptr)
        for (Ring* const ring : rings_)
            ring->take_the_long_way();
}

std::uint64_t Tracer::record_slowly(CpuId self, Instant now, std::uint32_t number, std::span<std::uint32_t const> words)
{
    Ring& own{ring(self)};
    if (listener_.event != nullptr && !own.is_muted())
        listener_.event(listener_.self, self, now, number, words);
    std::optional<std::uint64_t> stamp;
    own.write_slowly([&] { return *(stamp = env_.trace_clock(self)); }, number, words);
    return stamp ? *stamp : env_.trace_clock(self); // a muted ring does not ask for the time
}

void Tracer::hello(CpuId self, Instant now)
{
    constexpr std::uint32_t version = 1;
    constexpr std::uint32_t stamp_khz = 1'000'000; // Env's promise: nanoseconds
    emit(self, now, Event::hello, version, stamp_khz, rings_.size(), ring(self).memory().size() / 1024);
}

void Tracer::begin_close(CpuId of) { ring(of).begin_close(env_.trace_clock(of)); }

void Tracer::close(CpuId of, Instant now)
{
    RingControl const& control{*ring(of).control()};
    emit(of, now, Event::stats, control.head, control.head >> 32, control.lost_total, control.overwritten);
    ring(of).close(env_.trace_clock(of));
}

} // namespace hv::sched::trace
