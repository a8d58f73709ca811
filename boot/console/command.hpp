// The console's commands: what a typed line asks for, with typed arguments, or one line that says what is wrong with
// it. One table has every command's name, its help and its parser, so that there is no command without help.
//
// A parser knows what may be written, not what there is: names of VMs, and sets of pCPUs and nodes, are looked up when
// a command is carried out (executor.hpp). Texts are views into the line. Pure, no locks. Floor: boot/console.
#pragma once

#include "arch/generic/format.hpp"
#include "arch/generic/result.hpp"
#include "sched/guest/workload.hpp"
#include "sched/vcpu.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

namespace hv::console {

struct Help {
    std::string_view command{}; // empty: all
};
struct Info {
    bool nodes{false};
};
struct List {
    std::string_view domain{}; // name or number; empty: all
    bool nodes{false}, verbose{false};
};
struct VcpuList {
    std::string_view domain{};
};
struct VcpuPin {
    std::string_view domain{};
    std::optional<std::uint16_t> vcpu{};            // nothing: all
    std::optional<std::string_view> hard{}, soft{}; // affinity_text.hpp; nothing: left alone
    bool dry_run{false};
};
struct SchedCredit {
    std::string_view domain{}, pool{};
    std::optional<std::uint32_t> weight{}, cap{};
    bool parameters{false}; // of the scheduler, not of VMs
    std::optional<std::uint32_t> tslice_ms{}, ratelimit_us{}, migration_delay_us{};
};
struct NodeAffinity {
    std::string_view domain{}; // empty: all, and only to look
    std::string_view nodes{};  // empty: only to look
};
struct Create {
    std::string_view name{}; // empty: after its number
    std::uint32_t vcpus{1}, memory_mib{16};
    std::string_view cpus{}, cpus_soft{}; // affinity_text.hpp; empty: not given
    sched::DomainParams params{};
    sched::guest::Workload workload{};
};
struct Destroy {
    std::string_view domain{};
};
struct Pause {
    std::string_view domain{};
};
struct Unpause {
    std::string_view domain{};
};
struct Top {
    bool once{false}, vcpus{false};
    std::uint32_t seconds{2}; // between two looks
};
struct Trace {
    std::optional<std::uint32_t> mask{}; // to be set
    std::optional<std::uint32_t> last{}; // records to be shown
};
struct Dmesg {};
struct DebugKeys {
    std::string_view keys{};
};
struct Quit {};

using Command = std::variant<Help, Info, List, VcpuList, VcpuPin, SchedCredit, NodeAffinity, Create, Destroy, Pause,
                             Unpause, Top, Trace, Dmesg, DebugKeys, Quit>;

struct CommandError {
    std::string_view command{}; // empty: the line has none, or there is no such
    std::string_view word{};    // what is wrong; empty: something is missing
    std::string_view fix{};     // what would be right
};

class Words;

struct CommandSpec {
    std::string_view name;
    std::string_view usage;   // what follows the name
    std::string_view summary; // one line
    std::string_view text;    // of `help NAME`; lines
    Result<Command, CommandError> (*parse)(Words& words);
    std::string_view options; // for completion, separated by blanks
    bool takes_domain;        // its arguments may be names of VMs
};

// In the order in which help shows them.
[[nodiscard]] std::span<CommandSpec const> commands();
[[nodiscard]] CommandSpec const* find_command(std::string_view name);

// "xl" in front of a command is taken for habit. A line without any word is no error: there is nothing to do.
[[nodiscard]] Result<std::optional<Command>, CommandError> parse_command(std::string_view line);

// One line without line end.
void describe(CommandError const& error, Sink& sink);

} // namespace hv::console
