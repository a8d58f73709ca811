// The state of a traced machine as far as its records tell it, record by record: who runs where, who waits for which
// pCPU, with what priority and credit. What `nv trace diff` and `why` look at. Definitions are the Summariser's
// (trace_summary.hpp): a state is the one seen before, a pCPU keeps who arrived there until another arrives.
//
// A vCPU waits for the pCPU that it ran on last, until a record says that it was moved. Times are stamps, not before an
// earlier one. Memory: that of the pCPUs and vCPUs seen. One thread. Host only. Floor: tools.
#pragma once

#include "sched/trace/events.hpp"
#include "tools/nv/feed.hpp"
#include "tools/nv/metrics_ledger.hpp"
#include "tools/nv/xentrace.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

class Scene {
public:
    struct Vcpu {
        RunState state{RunState::offline};
        std::uint64_t since{0};
        bool from_blocked{false};           // its last change was a wake-up
        std::optional<std::uint32_t> pcpu;  // where it runs, or for which it waits; nothing: not seen to run
        std::optional<std::int32_t> credit; // nothing: the trace does not say
        std::optional<std::int32_t> priority;
        std::uint32_t woken_on{0};          // the pCPU that executed its last wake-up...
        std::optional<std::uint32_t> waker; // ...and who ran there, packed, if it was not idle
        bool parked{false};                 // by its domain's cap
    };
    struct Pcpu {
        std::optional<std::uint32_t> current; // packed; nothing: nobody was seen to run there
        std::uint64_t since{0};
    };

    // In the order of stamps.
    void record(Record const& record);

    [[nodiscard]] std::uint64_t first() const { return first_; } // stamp of the first record that has one
    [[nodiscard]] std::uint64_t now() const { return now_; }
    // nullptr: not seen.
    [[nodiscard]] Vcpu const* vcpu(std::uint32_t packed) const;
    [[nodiscard]] Pcpu const* pcpu(std::uint32_t number) const;
    [[nodiscard]] std::map<std::uint32_t, Vcpu> const& vcpus() const { return vcpus_; } // by packed number
    [[nodiscard]] std::map<std::uint32_t, Pcpu> const& pcpus() const { return pcpus_; }
    // Packed, without idle vCPUs, the one that waits longest first.
    [[nodiscard]] std::vector<std::uint32_t> waiting_for(std::uint32_t pcpu) const;
    [[nodiscard]] bool is_idle(std::uint32_t pcpu) const; // as far as is known

private:
    void change(Record const& record, sched::trace::RunStateChange to);
    void arrive(std::uint32_t pcpu, std::uint32_t packed);
    void told(Record const& record);

    std::map<std::uint32_t, Vcpu> vcpus_;
    std::map<std::uint32_t, Pcpu> pcpus_;
    std::uint64_t first_{0}, now_{0};
    bool started_{false};
};

[[nodiscard]] constexpr bool is_idle_vcpu(std::uint32_t packed) { return packed >> 16 == idle_domain; }
// "d1v0", "idle3".
[[nodiscard]] std::string packed_name(std::uint32_t packed);
// "BOOST", "UNDER", "OVER"; a number if it is none of them.
[[nodiscard]] std::string priority_name(std::int32_t priority);

} // namespace hv::nv
