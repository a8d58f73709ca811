#include "tools/nv/qemu.hpp"

#include "tools/nv/errors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace hv::nv {

namespace {

constexpr std::size_t most_pcpus = 255; // TCG has no x2APIC.
constexpr std::uint64_t room_mib = 16 * 1024;
constexpr char const* cpu_model = "qemu64,+popcnt,+ssse3,+sse4.1,+sse4.2,+rdtscp,+pdpe1gb,+smep,+smap,+umip,+fsgsbase";

// QEMU's machines are regular: so many sockets of so many cores of so many threads.
struct Shape {
    std::size_t sockets, cores, threads;
};

Shape shape_of(Machine const& machine, std::string_view file)
{
    std::size_t const count = machine.pcpus.size();
    if (count > most_pcpus)
        refuse(fmt::format("{}: $.machine.cpus: {} pCPUs, QEMU without KVM has at most {}; use the simulator", file,
                           count, most_pcpus));
    std::size_t sockets{0}, cores{0};
    for (Pcpu const& pcpu : machine.pcpus) {
        sockets = std::max<std::size_t>(sockets, pcpu.socket + 1u);
        cores = std::max<std::size_t>(cores, pcpu.core + 1u);
    }
    if (cores % sockets != 0 || count % cores != 0)
        refuse(fmt::format("{}: $.machine.cpus: {} pCPUs on {} cores of {} sockets are not the same number in each, as "
                           "QEMU needs; use the simulator",
                           file, count, cores, sockets));
    return {sockets, cores / sockets, count / cores};
}

// QEMU numbers pCPUs socket by socket, core by core, thread by thread.
void check_numbering(Machine const& machine, Shape const& shape, std::string_view file)
{
    for (std::size_t cpu = 0; cpu < machine.pcpus.size(); ++cpu) {
        std::size_t const core = cpu / shape.threads, socket = core / shape.cores;
        if (machine.pcpus[cpu].socket != socket || machine.pcpus[cpu].core != core)
            refuse(fmt::format("{}: $.machine.cpus[{}]: socket {} core {}, but QEMU numbers pCPUs so that this is "
                               "socket {} core {}; reorder, or use the simulator",
                               file, cpu, machine.pcpus[cpu].socket, machine.pcpus[cpu].core, socket, core));
    }
}

// With room for more, as many sockets again: QEMU plugs whole places of its regular machine.
void add_nodes(std::vector<std::string>& words, Machine const& machine, Shape const& shape, bool has_room)
{
    auto const add = [&](std::string value) {
        words.emplace_back("-numa");
        words.push_back(std::move(value));
    };
    for (std::size_t node = 0; node < machine.node_count(); ++node) {
        bool const memory = machine.node_memory_mib[node] != 0;
        add(fmt::format("node,nodeid={0}{1}", node, memory ? fmt::format(",memdev=ram{}", node) : ""));
    }
    std::size_t const count{machine.pcpus.size()};
    for (std::size_t cpu = 0; cpu < (has_room ? 2 * count : count); ++cpu)
        add(fmt::format("cpu,node-id={},socket-id={},core-id={},thread-id={}", machine.pcpus[cpu % count].node,
                        cpu / shape.threads / shape.cores, cpu / shape.threads % shape.cores, cpu % shape.threads));
    for (std::size_t from = 0; from < machine.node_count(); ++from)
        for (std::size_t to = 0; to < machine.node_count(); ++to)
            if (from != to)
                add(fmt::format("dist,src={},dst={},val={}", from, to,
                                machine.distances[from * machine.node_count() + to]));
}

void add_machine(std::vector<std::string>& words, Machine const& machine, QemuOptions const& options,
                 std::vector<std::string> const& paths, std::string_view file)
{
    Shape const shape = shape_of(machine, file);
    check_numbering(machine, shape, file);
    std::size_t const times{options.has_room ? 2u : 1u};
    if (times * machine.pcpus.size() > most_pcpus)
        refuse(fmt::format("{}: $.machine.cpus: --room is for as many again, and QEMU without KVM has at most {} in "
                           "all; leave it out",
                           file, most_pcpus));
    if (options.has_room && !machine.firmware_numa)
        refuse(fmt::format("{}: $.machine.firmware_numa: --room needs a machine whose firmware tells of nodes", file));
    std::uint64_t const memory =
        std::accumulate(machine.node_memory_mib.begin(), machine.node_memory_mib.end(), std::uint64_t{0});
    std::string const more_memory{options.has_room ? fmt::format(",slots=8,maxmem={}M", memory + room_mib) : ""};
    std::string const more_pcpus{options.has_room ? fmt::format(",maxcpus={}", times * machine.pcpus.size()) : ""};
    words.insert(words.end(), {"-M", machine.firmware_numa ? "q35" : "q35,memory-backend=ram0", "-cpu", cpu_model,
                               "-bios", firmware_file, "-m", fmt::format("{}M{}", memory, more_memory), "-smp",
                               fmt::format("{}{},sockets={},cores={},threads={}", machine.pcpus.size(), more_pcpus,
                                           times * shape.sockets, shape.cores, shape.threads)});
    if (options.has_room)
        words.insert(words.end(), {"-qmp", fmt::format("unix:{},server=on,wait=off", monitor_socket)});
    for (std::size_t node = 0; node < machine.node_count(); ++node)
        if (machine.node_memory_mib[node] != 0)
            words.insert(words.end(),
                         {"-object", fmt::format("memory-backend-file,id=ram{},size={}M,mem-path={},share=on", node,
                                                 machine.node_memory_mib[node], paths[node])});
    if (machine.firmware_numa)
        add_nodes(words, machine, shape, options.has_room);
}

// In a session ^C is for the kernel's console, and ^A x ends QEMU whatever the kernel does.
void add_serial_ports(std::vector<std::string>& words, QemuOptions const& options)
{
    if (!options.console) {
        words.insert(words.end(), {"-serial", "stdio"});
        return;
    }
    words.insert(words.end(), {"-chardev", fmt::format("stdio,id=terminal,mux=on,signal=off,logfile={}", console_file),
                               "-serial", "chardev:terminal", "-chardev",
                               fmt::format("socket,id=control,path={},server=on,wait=off", control_socket), "-serial",
                               "chardev:control"});
}

std::string kernel_line(Scenario const& scenario, QemuOptions const& options)
{
    std::string line = options.live ? "" : "khz=1000000"; // One tick of the instruction counter is a nanosecond.
    auto const add = [&](std::string const& word) { line += (line.empty() ? "" : " ") + word; };
    if (scenario.trace_ring_kib != 0)
        add(fmt::format("trace={}", scenario.trace_ring_kib));
    if (options.selftest)
        add(options.selftest_pattern.empty() ? "selftest" : fmt::format("selftest=\"{}\"", options.selftest_pattern));
    if (options.console)
        add("console");
    if (!options.append.empty())
        add(options.append);
    return line;
}

} // namespace

std::vector<std::string> qemu_command(Scenario const& scenario, QemuOptions const& options,
                                      std::vector<std::string> const& memory_paths, std::string_view file)
{
    std::vector<std::string> words;
    if (options.take_turns && !options.live)
        words = {"env", fmt::format("LD_PRELOAD=./{}", turns_link)};
    words.insert(words.end(), {options.program, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"});
    add_machine(words, scenario.machine, options, memory_paths, file);
    words.insert(words.end(),
                 {"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-rtc", "base=2020-01-01,clock=vm"});
    add_serial_ports(words, options);
    words.insert(words.end(), {"-debugcon", fmt::format("file:{}", host_channel_file), "-kernel", kernel_link});
    if (!options.machine_only)
        words.insert(words.end(), {"-initrd", image_file});
    if (options.live)
        words.insert(words.end(), {"-accel", "tcg,thread=multi"});
    else
        words.insert(words.end(), {"-accel", "tcg", "-icount", "shift=0,sleep=off"});
    if (std::string const line = kernel_line(scenario, options); !line.empty())
        words.insert(words.end(), {"-append", line});
    return words;
}

std::string shell_line(std::vector<std::string> const& words)
{
    std::string line;
    for (std::string const& word : words) {
        bool const plain = !word.empty() && std::ranges::all_of(word, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   std::string_view{"-_=,./:+@%"}.find(c) != std::string_view::npos;
        });
        std::string quoted{"'"};
        for (char const c : word)
            quoted += c == '\'' ? std::string{"'\\''"} : std::string{c};
        line += (line.empty() ? "" : " ") + (plain ? word : quoted + "'");
    }
    return line;
}

} // namespace hv::nv
