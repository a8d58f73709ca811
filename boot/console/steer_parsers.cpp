// Parsers of the commands that steer: vcpu-pin, sched-credit, node-affinity, pause, unpause.
#include "boot/console/command_parsers.hpp"

namespace hv::console {
namespace {

constexpr std::string_view pin_usage{"usage: vcpu-pin [-N] DOM VCPU|all HARD [SOFT]"};
constexpr std::string_view affinity_usage{"usage: node-affinity [DOM [NODES|auto]]"};

constexpr std::string_view one_vm{"takes a VM's name or number"};

std::optional<std::string_view> unless_dash(std::string_view text)
{
    return text == "-" ? std::nullopt : std::optional{text};
}

void check_combination(Arguments& arguments, SchedCredit const& wanted)
{
    bool const sets_domain{wanted.weight || wanted.cap};
    bool const sets_scheduler{wanted.tslice_ms || wanted.ratelimit_us || wanted.migration_delay_us};
    if (wanted.parameters && (!wanted.domain.empty() || sets_domain))
        arguments.wrong("-s", "is of the scheduler, -d, -w and -c are of a VM; use one or the other");
    else if (!wanted.pool.empty() && (!wanted.domain.empty() || sets_domain))
        arguments.wrong("-p", "a VM is in one pool only; leave -p out with -d, -w and -c");
    else if (sets_domain && wanted.domain.empty())
        arguments.wrong(wanted.weight ? "-w" : "-c", "needs the VM that it is for: -d DOM");
    else if (sets_scheduler && !wanted.parameters)
        arguments.wrong(wanted.tslice_ms      ? "-t"
                        : wanted.ratelimit_us ? "-r"
                                              : "-m",
                        "is of the scheduler; give -s with it");
}

} // namespace

Parsed parse_vcpu_pin(Words& words)
{
    Arguments arguments{words};
    VcpuPin pin;
    while (arguments.option("-N", "--dry-run"))
        pin.dry_run = true;
    pin.domain = arguments.name(pin_usage);
    std::string_view const vcpu{arguments.name(pin_usage)};
    if (!vcpu.empty() && vcpu != "all") {
        std::optional<std::uint64_t> const number{number_of(vcpu)};
        if (!number || *number > 0xffff)
            arguments.wrong(vcpu, "not a vCPU; give its number, or all");
        else
            pin.vcpu = static_cast<std::uint16_t>(*number);
    }
    pin.hard = unless_dash(arguments.word(pin_usage));
    if (!arguments.at_end())
        pin.soft = unless_dash(arguments.word(pin_usage));
    return arguments.finish(pin, pin_usage);
}

Parsed parse_sched_credit(Words& words)
{
    Arguments arguments{words};
    SchedCredit wanted;
    while (!arguments.at_end()) {
        if (arguments.option("-d", "--domain"))
            wanted.domain = arguments.name("-d needs a VM's name or number");
        else if (arguments.option("-p", "--cpupool"))
            wanted.pool = arguments.name("-p needs a pool's name");
        else if (arguments.option("-w", "--weight"))
            wanted.weight = arguments.number(1, 65'535, "a weight is 1 to 65535");
        else if (arguments.option("-c", "--cap"))
            wanted.cap =
                arguments.number(0, 65'534, "a cap is 0 (none) or percent of one pCPU, 100 for each vCPU at most");
        else if (arguments.option("-s", "--schedparam"))
            wanted.parameters = true;
        else if (arguments.option("-t", "--tslice_ms"))
            wanted.tslice_ms = arguments.number(1, 1'000, "a time slice is 1 to 1000 ms");
        else if (arguments.option("-r", "--ratelimit_us"))
            wanted.ratelimit_us = arguments.number(0, 500'000, "a rate limit is 0 (off) or 100 to 500000 us");
        else if (arguments.option("-m", "--migration_delay_us"))
            wanted.migration_delay_us = arguments.number(0, 100'000, "a migration delay is 0 to 100000 us");
        else
            break;
    }
    check_combination(arguments, wanted);
    return arguments.finish(wanted, "not an option; help sched-credit lists them");
}

Parsed parse_node_affinity(Words& words)
{
    Arguments arguments{words};
    NodeAffinity wanted;
    if (!arguments.at_end())
        wanted.domain = arguments.name(affinity_usage);
    if (!arguments.at_end())
        wanted.nodes = arguments.name(affinity_usage);
    return arguments.finish(wanted, affinity_usage);
}

Parsed parse_pause(Words& words)
{
    Arguments arguments{words};
    Pause const wanted{arguments.name(one_vm)};
    return arguments.finish(wanted, one_vm);
}

Parsed parse_unpause(Words& words)
{
    Arguments arguments{words};
    Unpause const wanted{arguments.name(one_vm)};
    return arguments.finish(wanted, one_vm);
}

} // namespace hv::console
