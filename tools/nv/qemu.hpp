// The QEMU command line of a scenario's machine: the one place that knows QEMU's options.
//
// What the guest sees is what the scenario says: sockets, cores, threads, the node of each pCPU, the memory of each
// node, the distances. A layout that QEMU cannot number the same way is refused here; the simulator takes any. File
// names are relative to the run's folder and always the same, because the guest sees them and a deterministic run must
// not depend on where it is started. Host only. Floor: tools.
#pragma once

#include "tools/nv/scenario.hpp"

#include <string>
#include <vector>

namespace hv::nv {

inline constexpr char const* kernel_link = "kernel.elf";
inline constexpr char const* image_file = "scenario.img";
inline constexpr char const* host_channel_file = "debugcon.txt";
inline constexpr char const* turns_link = "take_turns.so";
inline constexpr char const* console_file = "console.txt";
inline constexpr char const* control_socket = "control.sock"; // the second serial port, in a console session
inline constexpr char const* monitor_socket = "monitor.sock"; // QEMU's own (QMP), where there is room to plug in
inline constexpr char const* firmware_file = "/usr/share/qemu/qboot.rom";

struct QemuOptions {
    std::string program{"qemu-system-x86_64"};
    bool live{false};         // real time and threads, instead of the instruction counter
    bool take_turns{false};   // preload turns_link, which makes runs repeatable; not with live
    bool console{false};      // a console session: our terminal is the first serial port, control_socket the second
    bool has_room{false};     // for as many pCPUs again, on the same nodes, and for 8 DIMMs of 16 GiB in all
    bool machine_only{false}; // without the scenario's module
    bool selftest{false};     // ask the kernel for its self-tests...
    std::string selftest_pattern{}; // ...of which this selects some (empty: all)
    std::string append{};           // more of the kernel's command line
};

// `memory_paths`: by node, where its memory is kept (a file that two processes may share); unused for nodes without
// memory. Throws (bad_input) for a machine that QEMU does not have. `file` is for that line.
[[nodiscard]] std::vector<std::string> qemu_command(Scenario const& scenario, QemuOptions const& options,
                                                    std::vector<std::string> const& memory_paths,
                                                    std::string_view file);

// As one would type it: words with special characters in single quotes.
[[nodiscard]] std::string shell_line(std::vector<std::string> const& words);

} // namespace hv::nv
