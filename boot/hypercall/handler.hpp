// What a hypercall means: handle() takes the numbers that a guest left in its registers, checks every one of them, and
// asks a Caller, the machine's side of the vCPU, for what is left to do. The kernel, the host's tests and the fuzzer
// call the same function.
//
// A Caller is only ever asked for what is in range: existing vCPUs, times up to max_time, phases that it can carry out,
// at most as many bytes as abi.hpp allows. A call that is refused has changed nothing. Locking: none; in the kernel all
// of it runs with interrupts off and no lock held. Floor: boot (shared with the host; includes sched/guest).
#pragma once

#include "arch/generic/result.hpp"
#include "boot/hypercall/memory.hpp"
#include "sched/guest/workload.hpp"

#include <string_view>

namespace hv::hypercall {

using Arguments = std::array<std::uint64_t, 6>;

// What this vCPU may ask for.
struct Limits {
    std::uint32_t vcpus;         // of its VM
    std::uint32_t machine_vcpus; // that events of a recording may name
    bool is_recorded;
    Duration longest_phase; // beside `forever`
};

// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): never deleted through this class.
class Caller : public GuestMemory {
public:
    [[nodiscard]] virtual Limits limits() noexcept = 0;
    [[nodiscard]] virtual Instant now() noexcept = 0;
    // Returns when the vCPU goes on, with the time.
    [[nodiscard]] virtual Instant perform(sched::guest::Action const& action) noexcept = 0;
    [[nodiscard]] virtual bool take_event() noexcept = 0;
    [[nodiscard]] virtual Instant yield() noexcept = 0;
    // Time zero: none. Errors: not_permitted, where the timer is the workload's own.
    [[nodiscard]] virtual Status<Error> set_timer(Instant when) noexcept = 0;
    // Errors: try_again, when the VM has written too much lately.
    [[nodiscard]] virtual Status<Error> write_console(std::string_view text) noexcept = 0;
    // Errors: try_again, when the vCPU has not been started yet.
    [[nodiscard]] virtual Status<Error> set_vcpu_up(VcpuIndex vcpu, bool up) noexcept = 0;
    [[nodiscard]] virtual RunStateRecord run_state(VcpuIndex vcpu) noexcept = 0;
    // Whether the page that find() gave lies on the node of the pCPU.
    [[nodiscard]] virtual bool is_local(std::byte const* page) noexcept = 0;
    // Nodes of the VM; from there on numbers below that.
    [[nodiscard]] virtual std::uint32_t nodes() noexcept = 0;
    [[nodiscard]] virtual std::uint64_t pages_on(std::uint32_t node) noexcept = 0;
    [[nodiscard]] virtual std::uint8_t distance(std::uint32_t from, std::uint32_t to) noexcept = 0;
    [[nodiscard]] virtual std::uint8_t node_of(VcpuIndex vcpu) noexcept = 0;
    // The next steps of its recording, at most so many; they are taken once they have been copied.
    [[nodiscard]] virtual std::span<sched::guest::Step const> steps(std::uint64_t most) noexcept = 0;
    virtual void take_steps(std::uint64_t count) noexcept = 0;
    virtual void set_segment_base(Segment segment, std::uint64_t base) noexcept = 0;
    virtual void set_fault_handler(std::uint64_t entry, std::uint64_t stack) noexcept = 0;
    // false: no fault is being handled.
    [[nodiscard]] virtual bool return_from_fault(std::uint64_t address) noexcept = 0;

protected:
    constexpr Caller() = default;
    constexpr ~Caller() = default;
    Caller(Caller const&) = default;
    Caller& operator=(Caller const&) = default;
};

enum class Then : std::uint8_t {
    goes_on,   // with `value` as result
    goes_back, // from a fault's handler: all registers are what they were
    ends,      // the VM; `value` is its exit code
};

struct Reply {
    std::int64_t value{0};
    Then then{Then::goes_on};
};

[[nodiscard]] Reply handle(Caller& caller, std::uint64_t number, Arguments const& arguments) noexcept;

} // namespace hv::hypercall
