#include "boot/console/command.hpp"

#include "boot/console/command_parsers.hpp"

#include <array>

namespace hv::console {
namespace {

constexpr std::array table{
    CommandSpec{"help", "[COMMAND]", "what there is, or how a command is used",
                "Without a command: all of them, a line each.", parse_help, "", false},
    CommandSpec{"info", "[-n]", "the machine: pCPUs, nodes, memory, scheduler",
                "-n, --numa   also where each pCPU is, and each node's memory and distances", parse_info, "-n --numa",
                false},
    CommandSpec{"list", "[-n] [-v] [DOM]", "VMs, their memory, state and time",
                "-n, --numa      also the node affinity\n"
                "-v, --verbose   also weight, cap, and pages on each node\n"
                "State: r running, b blocked, p paused, s shut down, c crashed, d dying.",
                parse_list, "-n --numa -v --verbose", true},
    CommandSpec{"vcpu-list", "[DOM]", "vCPUs: where they are, their state, time and affinities",
                "State: r running, b blocked, p not started. CPU: where it runs or ran last.", parse_vcpu_list, "",
                true},
    CommandSpec{"vcpu-pin", "[-N] DOM VCPU|all HARD [SOFT]", "where vCPUs may run, and where they would rather",
                "HARD, SOFT   sets of pCPUs: 0-3,5,^1  node:1,^8  all; - leaves one as it is\n"
                "-N, --dry-run   only show the sets\n"
                "In effect at once. A soft affinity of its own makes a vCPU deaf to its VM's node affinity.",
                parse_vcpu_pin, "-N --dry-run", true},
    CommandSpec{"sched-credit", "[-d DOM [-w WEIGHT] [-c CAP]] | [-s [-t MS] [-r US] [-m US]] [-p POOL]",
                "weights and caps of VMs, parameters of the scheduler",
                "-d, --domain DOM         only this VM\n"
                "-w, --weight WEIGHT      1 to 65535 (default 256): its share of contended pCPUs\n"
                "-c, --cap CAP            percent of one pCPU; 0: none\n"
                "-s, --schedparam         the scheduler's own parameters\n"
                "-t, --tslice_ms MS       1 to 1000\n"
                "-r, --ratelimit_us US    100 to 500000 and not above the slice; 0: off\n"
                "-m, --migration_delay_us US   0 to 100000\n"
                "-p, --cpupool POOL       only this pool",
                parse_sched_credit,
                "-d --domain -w --weight -c --cap -s --schedparam -t --tslice_ms -r --ratelimit_us -m "
                "--migration_delay_us -p --cpupool",
                true},
    CommandSpec{"node-affinity", "[DOM [NODES|auto]]", "nodes that VMs prefer",
                "NODES   0  0-1  all; all and auto let it follow from where the vCPUs may run\n"
                "Steers vCPUs that have no soft affinity of their own. Pages stay where they are.",
                parse_node_affinity, "", true},
    CommandSpec{"create",
                "[name=NAME] [vcpus=N] [memory=MIB] [cpus=SET] [cpus_soft=SET] [weight=N] [cap=N] [workload=W]",
                "make a VM and start it",
                "One vCPU that computes all the time and 16 MiB unless it says otherwise; sets as for vcpu-pin.\n"
                "Workloads: hog  burst:run=1ms-3ms:block=2ms-4ms  periodic:period=10ms:run=2ms  pingpong:run=1ms\n"
                "           gridsleep:grid=10ms:guard=1ms, and with the memory cost model jbb, memory, fork, cpu",
                parse_create, "name= vcpus= memory= cpus= cpus_soft= weight= cap= workload=", false},
    CommandSpec{"destroy", "DOM", "end a VM and take all that it has", "", parse_destroy, "", true},
    CommandSpec{"pause", "DOM", "stop a VM where it is", "Its vCPUs run again after unpause.", parse_pause, "", true},
    CommandSpec{"unpause", "DOM", "let a paused VM go on", "", parse_unpause, "", true},
    CommandSpec{
        "top", "[--once] [-v] [-d SECONDS]", "who uses the pCPUs, again and again until a key is pressed",
        "CPU, WAIT   percent of one pCPU: running, and able to run without one\n"
        "HOME        percent of its run time on its home: its explicit node affinity, else where its memory is\n"
        "--once      one look, over the time since the VMs began\n"
        "-v, --vcpus     also each vCPU\n"
        "-d, --delay SECONDS   1 to 3600 (default 2)",
        parse_top, "--once -v --vcpus -d --delay", false},
    CommandSpec{"trace", "[MASK|off | last [N]]", "what is recorded, and the last of it in words",
                "MASK   a list of gen, sched, dom0op, hvm, mem, all and numbers like 0x21000: record that from now on\n"
                "last   the last N records (default 20)\n"
                "Without either: the mask, and each pCPU's ring.",
                parse_trace, "off all sched last", false},
    CommandSpec{"dmesg", "", "what the console showed since boot", "The last 16 KiB of it.", parse_dmesg, "", false},
    CommandSpec{"debug-keys", "KEYS", "print the state behind one or more debug keys", "debug-keys h lists them.",
                parse_debug_keys, "", false},
    CommandSpec{"quit", "", "end the machine", "The run ends as it does by itself: trace and figures are kept.",
                parse_quit, "", false},
    CommandSpec{"shutdown", "", "the same as quit", "", parse_quit, "", false},
};

} // namespace

std::span<CommandSpec const> commands() { return table; }

CommandSpec const* find_command(std::string_view name)
{
    for (CommandSpec const& spec : table)
        if (spec.name == name)
            return &spec;
    return nullptr;
}

Result<std::optional<Command>, CommandError> parse_command(std::string_view line)
{
    Words words{line};
    if (words.fault() == Words::Fault::open_quote)
        return fail(CommandError{{}, {}, "a quote is never closed; close it with \""});
    if (words.fault() == Words::Fault::too_many)
        return fail(CommandError{{}, {}, "more than 24 words; no command takes so many"});
    if (words.at_end())
        return std::optional<Command>{};
    std::string_view name{*words.take()};
    if (name == "xl" && !words.at_end())
        name = *words.take();
    CommandSpec const* const spec{find_command(name)};
    if (spec == nullptr)
        return fail(CommandError{{}, name, "no such command; help lists those that there are"});
    Parsed const parsed{spec->parse(words)};
    if (!parsed)
        return fail(CommandError{spec->name, parsed.error().word, parsed.error().fix});
    return std::optional<Command>{*parsed};
}

void describe(CommandError const& error, Sink& sink)
{
    if (!error.command.empty())
        print(sink, "{}: ", error.command);
    if (!error.word.empty())
        print(sink, "'{}': ", error.word);
    sink.write(error.fix);
}

} // namespace hv::console
