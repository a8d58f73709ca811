// Carries commands out: each looks at the machine row by row, a row under the locks that guard it, and renders it; or
// changes it by calls of the scheduler's core, which take effect while everything runs. Locking: none of its own;
// machine.hpp says where it may be called. Floor: boot/console.
#pragma once

#include "boot/console/command.hpp"
#include "boot/console/machine.hpp"

namespace hv::console {

void execute(Context& context, Command const& command);

void run(Context& context, Help const& help);
void run(Context& context, Info const& info);
void run(Context& context, List const& list);
void run(Context& context, VcpuList const& list);
void run(Context& context, VcpuPin const& pin);
void run(Context& context, SchedCredit const& wanted);
void run(Context& context, NodeAffinity const& wanted);
void run(Context& context, Create const& wanted);
void run(Context& context, Destroy const& wanted);
void run(Context& context, Pause const& wanted);
void run(Context& context, Unpause const& wanted);
void run(Context& context, Top const& top);
void run(Context& context, Trace const& trace);
void run(Context& context, Dmesg const&);
void run(Context& context, DebugKeys const& keys);
void run(Context& context, Quit const&);

// The set that a text means, with a warning for what the machine lacks. false: it is none, which was said.
[[nodiscard]] bool read_set(Context& context, std::string_view command, std::string_view what, std::string_view text,
                            CpuMask& cpus);

// One look of `top`, over the time since the look before; the first, and one of `top --once`, since the VMs began.
void show_top(Context& context, Top const& top, std::span<TopSample> before);

} // namespace hv::console
