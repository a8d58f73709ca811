// Parsers of create and destroy.
#include "boot/console/command_parsers.hpp"

#include <array>

namespace hv::console {
namespace {

using sched::guest::Workload;
using sched::guest::WorkloadKind;

constexpr std::string_view create_usage{"usage: create [name=NAME] [vcpus=N] [memory=MIB] [cpus=SET] [cpus_soft=SET] "
                                        "[weight=N] [cap=N] [workload=KIND:...]"};
constexpr std::string_view workload_usage{
    "workloads: hog, burst:run=1ms-3ms:block=2ms-4ms, periodic:period=10ms:run=2ms, pingpong:run=1ms, "
    "gridsleep:grid=10ms:guard=1ms, and jbb, memory, fork, cpu with run= and block="};

// A key of a workload, and which of its kinds have it.
struct Key {
    std::string_view name;
    Duration Workload::* low;
    Duration Workload::* high; // null: not a range
};
constexpr std::array keys{
    Key{"run", &Workload::run_min, &Workload::run_max},
    Key{"block", &Workload::block_min, &Workload::block_max},
    Key{"period", &Workload::period, nullptr},
    Key{"phase", &Workload::phase, nullptr},
    Key{"grid", &Workload::grid, nullptr},
    Key{"guard", &Workload::guard, nullptr},
};

struct Kind {
    std::string_view name;
    WorkloadKind kind;
    std::string_view needs; // keys, separated by blanks
    std::string_view takes; // beyond those
};
constexpr std::array kinds{
    Kind{"hog", WorkloadKind::hog, "", ""},
    Kind{"burst", WorkloadKind::burst, "run block", ""},
    Kind{"periodic", WorkloadKind::periodic, "period run", "phase"},
    Kind{"pingpong", WorkloadKind::pingpong, "run", ""},
    Kind{"gridsleep", WorkloadKind::gridsleep, "grid guard", ""},
    Kind{"jbb", WorkloadKind::jbb, "run block", ""},
    Kind{"memory", WorkloadKind::memory, "run block", ""},
    Kind{"fork", WorkloadKind::fork, "run block", ""},
    Kind{"cpu", WorkloadKind::cpu, "run block", ""},
};

bool has_word(std::string_view text, std::string_view wanted)
{
    Words words{text};
    while (!words.at_end())
        if (*words.take() == wanted)
            return true;
    return false;
}

// Up to `end`, which goes too.
std::string_view cut(std::string_view& rest, char end)
{
    std::size_t const size{hv::detail::find_char(rest, end)};
    std::string_view const front{rest.data(), size};
    rest.remove_prefix(size < rest.size() ? size + 1 : size);
    return front;
}

// "10ms", "500us", "2s", "1000ns"; at most 1000 s.
std::optional<Duration> time_of(std::string_view text)
{
    struct Unit {
        std::string_view name;
        std::int64_t ns;
    };
    constexpr std::array units{Unit{"ns", 1}, Unit{"us", 1'000}, Unit{"ms", 1'000'000}, Unit{"s", 1'000'000'000}};
    for (Unit const& unit : units) {
        if (!text.ends_with(unit.name))
            continue;
        std::optional<std::uint64_t> const count{number_of({text.data(), text.size() - unit.name.size()})};
        if (count && *count <= 1'000'000'000'000 / static_cast<std::uint64_t>(unit.ns))
            return Duration::from_ns(static_cast<std::int64_t>(*count) * unit.ns);
    }
    return std::nullopt;
}

bool set_key(Workload& workload, Key const& key, std::string_view value)
{
    std::string_view rest{value};
    std::optional<Duration> const low{time_of(cut(rest, '-'))};
    std::optional<Duration> const high{rest.empty() ? low : time_of(rest)};
    if (!low || !high || *high < *low || (key.high == nullptr && *high != *low))
        return false;
    workload.*key.low = *low;
    if (key.high != nullptr)
        workload.*key.high = *high;
    return true;
}

void read_workload(Arguments& arguments, std::string_view text, Workload& workload)
{
    std::string_view rest{text};
    std::string_view const name{cut(rest, ':')};
    Kind const* kind{nullptr};
    for (Kind const& one : kinds)
        if (one.name == name)
            kind = &one;
    if (kind == nullptr)
        return arguments.wrong(name, workload_usage);
    workload = Workload{};
    workload.kind = kind->kind;
    unsigned given{0};
    while (!rest.empty()) {
        std::string_view const item{cut(rest, ':')};
        std::string_view value{item};
        std::string_view const key_name{cut(value, '=')};
        bool good{false};
        for (std::size_t i = 0; i < keys.size(); ++i)
            if (keys[i].name == key_name && (has_word(kind->needs, key_name) || has_word(kind->takes, key_name)) &&
                (given & 1u << i) == 0) {
                good = set_key(workload, keys[i], value);
                given |= 1u << i;
            }
        if (!good)
            return arguments.wrong(item, workload_usage);
    }
    for (std::size_t i = 0; i < keys.size(); ++i)
        if (has_word(kind->needs, keys[i].name) && (given & 1u << i) == 0)
            return arguments.wrong(text, workload_usage);
}

std::uint32_t read_number(Arguments& arguments, std::string_view item, std::string_view value, std::uint32_t low,
                          std::uint32_t high, std::string_view fix)
{
    std::optional<std::uint64_t> const number{number_of(value)};
    if (number && *number >= low && *number <= high)
        return static_cast<std::uint32_t>(*number);
    arguments.wrong(item, fix);
    return low;
}

void read_setting(Arguments& arguments, std::string_view item, Create& create)
{
    std::string_view value{item};
    std::string_view const key{cut(value, '=')};
    if (value.empty())
        arguments.wrong(item, create_usage);
    else if (key == "name")
        create.name = value;
    else if (key == "vcpus")
        create.vcpus = read_number(arguments, item, value, 1, 4096, "vcpus is 1 to 4096");
    else if (key == "memory")
        create.memory_mib = read_number(arguments, item, value, 1, 1'048'576, "memory is 1 to 1048576 MiB");
    else if (key == "cpus")
        create.cpus = value;
    else if (key == "cpus_soft")
        create.cpus_soft = value;
    else if (key == "weight")
        create.params.weight =
            static_cast<std::uint16_t>(read_number(arguments, item, value, 1, 65'535, "a weight is 1 to 65535"));
    else if (key == "cap")
        create.params.cap =
            static_cast<std::uint16_t>(read_number(arguments, item, value, 0, 65'534, "a cap is percent of one pCPU"));
    else if (key == "workload")
        read_workload(arguments, value, create.workload);
    else
        arguments.wrong(item, create_usage);
}

} // namespace

Parsed parse_create(Words& words)
{
    Arguments arguments{words};
    Create create;
    while (!arguments.at_end())
        read_setting(arguments, arguments.word({}), create);
    if (create.name.size() > 31)
        arguments.wrong(create.name, "a name has at most 31 characters");
    return arguments.finish(create, create_usage);
}

Parsed parse_destroy(Words& words)
{
    constexpr std::string_view one_vm{"takes a VM's name or number"};
    Arguments arguments{words};
    Destroy const wanted{arguments.name(one_vm)};
    return arguments.finish(wanted, one_vm);
}

} // namespace hv::console
