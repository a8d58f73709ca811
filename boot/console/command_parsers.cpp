#include "boot/console/command_parsers.hpp"

#include "boot/info/trace_options.hpp"

namespace hv::console {
namespace {

constexpr std::string_view nothing_more{"one word too many; the command ends before it"};

} // namespace

Parsed parse_help(Words& words)
{
    Arguments arguments{words};
    Help help;
    if (!arguments.at_end())
        help.command = arguments.word({});
    if (!help.command.empty() && find_command(help.command) == nullptr)
        arguments.wrong(help.command, "no such command; help alone lists those that there are");
    return arguments.finish(help, nothing_more);
}

Parsed parse_info(Words& words)
{
    Arguments arguments{words};
    Info info;
    while (arguments.option("-n", "--numa"))
        info.nodes = true;
    return arguments.finish(info, "takes -n and nothing else");
}

Parsed parse_list(Words& words)
{
    Arguments arguments{words};
    List list;
    while (!arguments.at_end()) {
        if (arguments.option("-n", "--numa"))
            list.nodes = true;
        else if (arguments.option("-v", "--verbose"))
            list.verbose = true;
        else if (list.domain.empty())
            list.domain = arguments.name("takes -n, -v and a VM's name or number");
        else
            break;
    }
    return arguments.finish(list, nothing_more);
}

Parsed parse_vcpu_list(Words& words)
{
    Arguments arguments{words};
    VcpuList list;
    if (!arguments.at_end())
        list.domain = arguments.name("takes a VM's name or number");
    return arguments.finish(list, nothing_more);
}

Parsed parse_top(Words& words)
{
    Arguments arguments{words};
    Top top;
    while (!arguments.at_end()) {
        if (arguments.option("--once", "--once"))
            top.once = true;
        else if (arguments.option("-v", "--vcpus"))
            top.vcpus = true;
        else if (arguments.option("-d", "--delay"))
            top.seconds = arguments.number(1, 3600, "-d is 1 to 3600 seconds").value_or(0);
        else
            break;
    }
    return arguments.finish(top, "takes --once, -v and -d SECONDS");
}

Parsed parse_trace(Words& words)
{
    Arguments arguments{words};
    Trace trace;
    if (arguments.at_end())
        return arguments.finish(trace, {});
    std::string_view const word{arguments.word({})};
    if (word == "last") {
        trace.last = arguments.at_end() ? 20u : arguments.number(1, 100'000, "last takes 1 to 100000 records");
    } else {
        trace.mask = boot::parse_trace_mask(word);
        if (!trace.mask)
            arguments.wrong(
                word, "give off, or a list of gen, sched, dom0op, hvm, mem, all and numbers like 0x21000; or last");
    }
    return arguments.finish(trace, nothing_more);
}

Parsed parse_dmesg(Words& words) { return Arguments{words}.finish(Dmesg{}, nothing_more); }

Parsed parse_debug_keys(Words& words)
{
    Arguments arguments{words};
    DebugKeys const keys{arguments.word("needs keys; debug-keys h lists them")};
    return arguments.finish(keys, nothing_more);
}

Parsed parse_quit(Words& words) { return Arguments{words}.finish(Quit{}, nothing_more); }

} // namespace hv::console
