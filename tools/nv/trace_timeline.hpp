// What a timeline shows of a trace, record by record: who took over on which pCPU and from whom, who woke whom, what
// was lost. Exporters draw it (perfetto.hpp, ctf.hpp, page.hpp); figures come from the Ledger, not from here.
//
// A pCPU's occupant is the last vCPU that was seen to arrive there, until another one does: so one's departure and the
// next one's arrival are one switch, and what every switch leaves is what the one before brought. A loss makes the
// occupant unknown. Times are ns of the trace's clock and never go backward: an earlier stamp counts as of what came
// before. Memory: that of the vCPUs and pCPUs seen. One Timeline, one thread. Host only. Floor: tools.
#pragma once

#include "tools/nv/xentrace.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace hv::nv {

class Timeline {
public:
    using State = sched::trace::RunStateCode;
    static constexpr std::size_t nobody = ~std::size_t{0};

    struct Vcpu {
        std::uint16_t domain{0}, vcpu{0};
        State state{State::offline};
        bool seen{false}; // its state is known

        [[nodiscard]] bool is_idle() const;
        [[nodiscard]] std::string name() const; // d1v0
    };

    enum class Kind {
        other,     // no run state; `vcpu` and `before` are nobody
        arrival,   // `vcpu` runs on `pcpu` now; `before` was the occupant
        departure, // `vcpu`, which ran on `pcpu`, is in state `to`
        wake,      // `vcpu` can run again; `before` is who runs on `pcpu`, where that was found out
        change,    // of a vCPU that does not run
        loss,      // records of `pcpu` from `lost_from` on; `before` was the occupant
    };

    struct Step {
        Kind kind{Kind::other};
        std::uint64_t when{0}; // ns
        std::uint32_t pcpu{0};
        std::size_t vcpu{nobody}, before{nobody}; // indices of vcpus()
        State to{State::offline};
        std::uint64_t lost_from{0}; // ns
    };

    // `hz`: ticks of the stamps in a second.
    explicit Timeline(std::uint64_t hz) : hz_{hz} {}

    // In the order of stamps. Before the first stamp nothing has a time: such records are `other`.
    [[nodiscard]] Step step(Record const& record);

    [[nodiscard]] std::vector<Vcpu> const& vcpus() const { return vcpus_; } // in the order in which they are met
    [[nodiscard]] std::size_t occupant(std::uint32_t pcpu) const
    {
        return pcpu < occupants_.size() ? occupants_[pcpu] : nobody;
    }
    // Meets it if need be.
    [[nodiscard]] std::size_t find(std::uint32_t packed);
    [[nodiscard]] std::uint64_t now() const { return to_ns(now_); }
    [[nodiscard]] bool has_started() const { return started_; }

private:
    [[nodiscard]] bool take_time(Record const& record);
    [[nodiscard]] std::uint64_t to_ns(std::uint64_t ticks) const;
    [[nodiscard]] Step changed(Record const& record, Step step);
    [[nodiscard]] Step lost(Record const& record, Step step);

    std::uint64_t hz_, first_{0}, now_{0};
    bool started_{false};
    std::vector<Vcpu> vcpus_;
    std::unordered_map<std::uint32_t, std::size_t> index_of_; // by packed number
    std::vector<std::size_t> occupants_;                      // by pCPU
};

// Numbers that people recognise where viewers speak of Linux: vCPU 3 of domain 2 is thread 3003 of process 3000.
// `index`: in vcpus(), for numbers of vCPUs that no Xen has.
[[nodiscard]] std::int32_t process_number(std::uint16_t domain);
[[nodiscard]] std::int32_t thread_number(Timeline::Vcpu const& vcpu, std::size_t index);
// Of a thread that makes way: 0 can run, 1 sleeps, 4 is stopped.
[[nodiscard]] std::int64_t linux_state(Timeline::State state);

} // namespace hv::nv
