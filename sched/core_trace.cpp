// The part of the core that tells the trace: decisions, and the end.
#include "sched/core.hpp"

namespace hv::sched {

namespace {

// How the trace writes a slice: all ones for none.
[[nodiscard]] std::int64_t slice_word(std::optional<Duration> slice) { return slice ? slice->ns() : -1; }

[[nodiscard]] constexpr std::uint32_t number_of(trace::Event event) { return static_cast<std::uint32_t>(event); }

} // namespace

// Lock held.
void Core::trace_continue(CpuId self, Vcpu& current, std::optional<Duration> slice, Instant now)
{
    trace::Tracer& tracer{pool_.tracer()};
    Duration const ran{now > current.run_state.entered ? now - current.run_state.entered : Duration{}};
    tracer.emit(self, now, trace::Event::switch_infcont, current.domain.id.value(), current.index.value(), ran.ns(),
                slice_word(slice));
    tracer.emit(self, now, trace::Event::continue_running, current.packed());
}

// Lock held. No record may come between the two run-state changes, nor after them before the switch itself.
void Core::trace_switch(CpuId self, Vcpu& previous, Vcpu& next, std::optional<Duration> slice, Instant now)
{
    // `now` was taken before the lock, so another pCPU may have stamped a state later than that.
    Duration const ran{now > previous.run_state.entered ? now - previous.run_state.entered : Duration{}};
    bool const waits{next.run_state.state == RunState::runnable && now > next.run_state.entered};
    Duration const waited{waits ? now - next.run_state.entered : Duration{}};
    RunState const out{previous.run_state.state};
    RunState const in{next.run_state.state};
    RunState const left_for{previous.has_flag(PauseFlag::blocked) ? RunState::blocked
                            : previous.is_runnable()              ? RunState::runnable
                                                                  : RunState::offline};
    HV_ASSERT(out == RunState::running && in != RunState::running);
    using trace::entry;
    using trace::Event;
    trace::Tracer& tracer{pool_.tracer()};
    std::uint16_t const from_domain{previous.domain.id.value()}, from{previous.index.value()};
    std::uint16_t const to_domain{next.domain.id.value()}, to{next.index.value()};
    std::int64_t const most{slice_word(slice)};
    // All five at once, as it is nearly always: their room is asked for only once.
    std::optional<std::uint64_t> stamp;
    if (tracer.wants(Event::switch_to) && tracer.wants(Event::runstate_change))
        stamp = tracer.all_quickly(self, entry(number_of(Event::switch_infprev), from_domain, from, ran.ns()),
                                   entry(number_of(Event::switch_infnext), to_domain, to, waited.ns(), most),
                                   entry(number_of(Event::switch_to), from_domain, from, to_domain, to),
                                   entry(trace::runstate_event(out, left_for), previous.packed()),
                                   entry(trace::runstate_event(in, RunState::running), next.packed()));
    if (!stamp) {
        tracer.emit(self, now, Event::switch_infprev, from_domain, from, ran.ns());
        tracer.emit(self, now, Event::switch_infnext, to_domain, to, waited.ns(), most);
        tracer.emit(self, now, Event::switch_to, from_domain, from, to_domain, to);
        tracer.runstate(self, now, out, left_for, previous.packed());
        stamp = tracer.runstate(self, now, in, RunState::running, next.packed());
    }
    tracer.ring(self).set_current(to_domain, to);

    enter_state(self, previous, left_for, now, stamp);
    enter_state(self, next, RunState::running, now, stamp);
    previous.last_run_time = now;
}

// A vCPU that runs leaves on the pCPU where it runs, and after it the idle vCPUs, so that every run-state time is
// complete.
void Core::close_trace(CpuId self, Instant now) HV_NO_THREAD_SAFETY_ANALYSIS // Nothing runs any more.
{
    trace::Tracer& tracer{pool_.tracer()};
    for (CpuId const cpu : up_)
        tracer.begin_close(cpu);
    for (CpuId const cpu : up_)
        change_state(cpu, *pool_.pcpu(cpu).current, RunState::offline, now);
    for (Domain& domain : domains_) {
        for (Vcpu& vcpu : domain.vcpus)
            leave_trace(self, vcpu, now);
        tracer.emit(self, now, trace::Event::domain_remove, domain.id.value());
        tracer.emit(self, now, trace::Event::domain_destroy, domain.id.value());
    }
    for (CpuId const cpu : up_)
        tracer.close(cpu, now);
}

} // namespace hv::sched
