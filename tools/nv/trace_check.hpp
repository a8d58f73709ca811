// Whether a trace keeps the rules that make xenalyze read it well: docs/traces.md, "Rules". A breach is a line that
// names the rule and the place in the file; the checker then takes what the record says as true, so that one fault is
// not told twice.
//
// Where records were lost nothing is known of who ran there, nor of vCPUs that did not run elsewhere: the losses are
// collected in a pass of their own, since a loss begins long before the record that tells of it. Memory: what each
// pCPU and vCPU did last, and the losses. Host only. Floor: tools.
#pragma once

#include "sched/trace/events.hpp"
#include "tools/nv/xentrace.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

// When which pCPU's records were lost.
class Losses {
public:
    // Takes note of a LOST record; ignores any other, and one that makes no sense. In the order of stamps.
    void note(Record const& record);
    // Whether some record of that time, ends included but for the very beginning, may be missing. All: of any pCPU.
    [[nodiscard]] bool any(std::optional<std::uint32_t> pcpu, std::uint64_t after, std::uint64_t until) const;

private:
    struct Loss {
        std::uint64_t first, last;
    };
    std::map<std::uint32_t, std::vector<Loss>> losses_; // by pCPU, in the order of time
};

struct Breach {
    std::uint64_t offset;
    std::string_view rule;
    std::string what;
};

class Checker {
public:
    static constexpr std::size_t most_breaches = 50; // that are kept; count() counts them all

    // `cut_out`: the trace was begun and ended in the midst of things, so R1 and R5 are not to be asked for.
    Checker(Losses losses, bool cut_out) : losses_{std::move(losses)}, cut_out_{cut_out} {}

    // In the order of stamps.
    void record(Record const& record);
    // After the last record.
    void finish();

    [[nodiscard]] std::vector<Breach> const& breaches() const { return breaches_; }
    [[nodiscard]] std::uint64_t count() const { return count_; }

private:
    using State = sched::trace::RunStateCode;
    struct Vcpu {
        State state;
        std::uint32_t pcpu; // of the record that told
        std::uint64_t when, offset;
    };
    struct Pcpu {
        std::optional<std::uint32_t> current; // packed
        std::uint64_t when{0}, offset{0};     // of what is known of current
        std::uint64_t stamp{0};
        bool begun{false};     // it has told who runs
        bool departing{false}; // the last record was a departure, so an arrival is due
        bool closed{false};    // the last word was a continuation
    };

    void breach(Record const& record, std::string_view rule, std::string what);
    [[nodiscard]] Vcpu const* known(std::uint32_t vcpu, std::uint64_t now) const;
    [[nodiscard]] std::optional<std::uint32_t> current(std::uint32_t pcpu, std::uint64_t now) const;
    void check_form(Record const& record, Pcpu& pcpu);
    void check_name(Record const& record, std::uint32_t vcpu);
    void check_first(Record const& record, Pcpu& pcpu, bool is_good);
    void check_past(Record const& record, std::uint32_t vcpu, sched::trace::RunStateChange to);
    void change(Record const& record, Pcpu& pcpu, sched::trace::RunStateChange to);
    void continued(Record const& record, Pcpu& pcpu);
    void lost(Record const& record, Pcpu& pcpu);
    void domain_removed(Record const& record);

    Losses losses_;
    bool cut_out_;
    std::map<std::uint32_t, Vcpu> vcpus_;
    std::map<std::uint32_t, Pcpu> pcpus_;
    std::vector<Breach> breaches_;
    std::uint64_t count_{0};
    bool started_{false};
};

} // namespace hv::nv
