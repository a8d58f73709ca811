#include "boot/hypercall/handler.hpp"

namespace hv::hypercall {
namespace {

using sched::guest::Action;

Reply refuse(Error error) { return {.value = static_cast<std::int64_t>(error)}; }
Reply give(std::uint64_t value) { return {.value = static_cast<std::int64_t>(value)}; }
Reply give(Instant time) { return {.value = time.ns()}; }
Reply give(Status<Error> const& status) { return status ? Reply{} : refuse(status.error()); }

bool is_time(std::uint64_t value) { return value <= max_time; }
Instant time_at(std::uint64_t value) { return Instant::at_ns(static_cast<std::int64_t>(value)); }

Reply compute(Caller& caller, std::uint64_t ns)
{
    if (ns != forever && ns > static_cast<std::uint64_t>(caller.limits().longest_phase.ns()))
        return refuse(Error::bad_argument);
    return give(
        caller.perform({.kind = Action::Kind::compute, .amount = Duration::from_ns(static_cast<std::int64_t>(ns))}));
}

Reply at_time(Caller& caller, Action::Kind kind, std::uint64_t time)
{
    if (!is_time(time))
        return refuse(Error::bad_argument);
    return give(caller.perform({.kind = kind, .until = time_at(time)}));
}

Reply touch(Caller& caller, GuestRange range, std::uint64_t write)
{
    if (write > 1)
        return refuse(Error::bad_argument);
    if (range.bytes > max_touch_bytes)
        return refuse(Error::too_much);
    if (!is_accessible(caller, range, write != 0))
        return refuse(Error::bad_address);
    std::uint64_t local{0};
    bool const touched = for_each_part(caller, range, write != 0, [&](std::byte* there, std::uint64_t, std::uint64_t) {
        auto* const byte = reinterpret_cast<std::uint8_t volatile*>(there);
        std::uint8_t const value{*byte};
        if (write != 0)
            *byte = value;
        local += caller.is_local(there) ? 1u : 0u;
    });
    return touched ? give(local) : refuse(Error::bad_address);
}

Reply notify(Caller& caller, std::uint64_t vcpu)
{
    if (vcpu >= caller.limits().vcpus)
        return refuse(Error::no_such_vcpu);
    return give(
        caller.perform({.kind = Action::Kind::notify, .partner = VcpuIndex{static_cast<VcpuIndex::Rep>(vcpu)}}));
}

Reply notify_any(Caller& caller, std::uint64_t number)
{
    Limits const limits{caller.limits()};
    if (!limits.is_recorded)
        return refuse(Error::not_permitted);
    if (number >= limits.machine_vcpus)
        return refuse(Error::no_such_vcpu);
    return give(caller.perform({.kind = Action::Kind::notify_any, .target = static_cast<std::uint32_t>(number)}));
}

Reply set_timer(Caller& caller, std::uint64_t time)
{
    return is_time(time) ? give(caller.set_timer(time_at(time))) : refuse(Error::bad_argument);
}

// What a terminal would take for more than text becomes a dot.
Reply console_write(Caller& caller, GuestRange range)
{
    if (range.bytes > max_console_bytes)
        return refuse(Error::too_much);
    std::array<char, max_console_bytes> text; // NOLINT(cppcoreguidelines-pro-type-member-init): copy_in fills it
    std::span const used{text.data(), range.bytes};
    if (!copy_in(caller, std::as_writable_bytes(used), range.at))
        return refuse(Error::bad_address);
    for (char& c : used)
        if (c < ' ' || c > '~')
            c = '.';
    return give(caller.write_console({used.data(), used.size()}));
}

Reply set_vcpu_up(Caller& caller, std::uint64_t vcpu, bool up)
{
    if (vcpu >= caller.limits().vcpus)
        return refuse(Error::no_such_vcpu);
    return give(caller.set_vcpu_up(VcpuIndex{static_cast<VcpuIndex::Rep>(vcpu)}, up));
}

Reply run_state(Caller& caller, std::uint64_t vcpu, std::uint64_t to)
{
    if (vcpu >= caller.limits().vcpus)
        return refuse(Error::no_such_vcpu);
    RunStateRecord const record{caller.run_state(VcpuIndex{static_cast<VcpuIndex::Rep>(vcpu)})};
    return copy_out(caller, to, std::as_bytes(std::span{&record, 1})) ? Reply{} : refuse(Error::bad_address);
}

// One entry of a table. The table was checked.
template <typename T>
void put(Caller& caller, std::uint64_t table, std::uint64_t row, T const& value)
{
    static_cast<void>(copy_out(caller, table + row * sizeof(T), std::as_bytes(std::span{&value, 1})));
}

// The tables, each other and the request itself must be apart.
bool are_apart(std::span<GuestRange const> ranges)
{
    for (std::size_t i = 0; i < ranges.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (ranges[i].overlaps(ranges[j]))
                return false;
    return true;
}

void fill_in(Caller& caller, NumaRequest const& request)
{
    std::uint32_t const nodes{request.nodes < request.node_room ? request.nodes : request.node_room};
    for (std::uint32_t from = 0; from < nodes; ++from) {
        put(caller, request.memory_at, from, caller.pages_on(from));
        for (std::uint32_t to = 0; to < nodes; ++to)
            put(caller, request.distances_at, from * request.node_room + to, caller.distance(from, to));
    }
    for (std::uint32_t i = 0; i < request.vcpus && i < request.vcpu_room; ++i)
        put(caller, request.vcpus_at, i, caller.node_of(VcpuIndex{static_cast<VcpuIndex::Rep>(i)}));
}

Reply numa_info(Caller& caller, std::uint64_t at)
{
    NumaRequest request;
    if (!is_accessible(caller, {at, sizeof request}, true) ||
        !copy_in(caller, std::as_writable_bytes(std::span{&request, 1}), at))
        return refuse(Error::bad_address);
    if (request.node_room > max_numa_nodes || request.vcpu_room > max_numa_vcpus)
        return refuse(Error::too_much);
    std::array const ranges{GuestRange{at, sizeof request},
                            GuestRange{request.memory_at, request.node_room * sizeof(std::uint64_t)},
                            GuestRange{request.distances_at, std::uint64_t{request.node_room} * request.node_room},
                            GuestRange{request.vcpus_at, request.vcpu_room}};
    for (GuestRange const& range : ranges)
        if (!is_accessible(caller, range, true))
            return refuse(Error::bad_address);
    if (!are_apart(ranges))
        return refuse(Error::bad_address);
    request.nodes = caller.nodes();
    request.vcpus = caller.limits().vcpus;
    fill_in(caller, request);
    put(caller, at, 0, request);
    return {};
}

Reply next_steps(Caller& caller, std::uint64_t to, std::uint64_t most)
{
    if (!caller.limits().is_recorded)
        return refuse(Error::not_permitted);
    if (most > max_steps)
        return refuse(Error::too_much);
    std::span<sched::guest::Step const> const steps{caller.steps(most)};
    if (!copy_out(caller, to, std::as_bytes(steps)))
        return refuse(Error::bad_address);
    caller.take_steps(steps.size());
    return give(steps.size());
}

Reply set_segment_base(Caller& caller, std::uint64_t segment, std::uint64_t base)
{
    if (segment > static_cast<std::uint64_t>(Segment::gs))
        return refuse(Error::bad_argument);
    if (base >= address_limit)
        return refuse(Error::bad_address);
    caller.set_segment_base(static_cast<Segment>(segment), base);
    return {};
}

Reply set_fault_handler(Caller& caller, std::uint64_t entry, std::uint64_t stack)
{
    if (entry >= address_limit || stack >= address_limit)
        return refuse(Error::bad_address);
    caller.set_fault_handler(entry, stack);
    return {};
}

Reply fault_return(Caller& caller, std::uint64_t address)
{
    if (address >= address_limit)
        return refuse(Error::bad_address);
    if (!caller.return_from_fault(address))
        return refuse(Error::not_permitted);
    return {.then = Then::goes_back};
}

} // namespace

Reply handle(Caller& caller, std::uint64_t number, Arguments const& arguments) noexcept
{
    auto const [a, b, c, d, e, f] = arguments;
    switch (static_cast<Number>(number)) {
    case Number::null:
        return {};
    case Number::version:
        return give(abi_version);
    case Number::shutdown:
        return {.value = static_cast<std::int64_t>(a), .then = Then::ends};
    case Number::clock:
        return give(caller.now());
    case Number::compute:
        return compute(caller, a);
    case Number::compute_until:
        return at_time(caller, Action::Kind::compute_until, a);
    case Number::touch:
        return touch(caller, {a, b}, c);
    case Number::block:
        return give(caller.perform({.kind = Action::Kind::wait}));
    case Number::poll:
        return at_time(caller, Action::Kind::wait_until, a);
    case Number::take_event:
        return give(caller.take_event() ? 1u : 0u);
    case Number::yield:
        return give(caller.yield());
    case Number::set_timer:
        return set_timer(caller, a);
    case Number::notify:
        return notify(caller, a);
    case Number::notify_any:
        return notify_any(caller, a);
    case Number::console_write:
        return console_write(caller, {a, b});
    case Number::vcpu_up:
        return set_vcpu_up(caller, a, true);
    case Number::vcpu_down:
        return set_vcpu_up(caller, a, false);
    case Number::run_state:
        return run_state(caller, a, b);
    case Number::numa_info:
        return numa_info(caller, a);
    case Number::next_steps:
        return next_steps(caller, a, b);
    case Number::set_segment_base:
        return set_segment_base(caller, a, b);
    case Number::set_fault_handler:
        return set_fault_handler(caller, a, b);
    case Number::fault_return:
        return fault_return(caller, a);
    }
    return refuse(Error::unknown_call);
}

} // namespace hv::hypercall
