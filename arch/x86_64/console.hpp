// Text output: the serial console on COM1 for people, and the machine channel on the debug port for `key=value` lines
// to the host tool.
//
// A Line owns its output from construction to destruction: lines of several pCPUs never interleave. Text goes out as it
// is printed. Locking: one lock per output, the highest ranks of all, so lines may be printed with any other lock held;
// not with a Line of the same output open. After console_enter_panic() nothing is locked any more. Floor: arch/x86_64.
#pragma once

#include "arch/generic/format.hpp"
#include "arch/x86_64/irq_save.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace hv::arch {

inline constexpr std::uint16_t console_lock_rank = 1000;

enum class Output : std::uint8_t {
    console,
    stamped_console, // the line starts with the time since boot
    raw_console,     // neither stamp nor line end: pieces of a panic's report
    reply,           // an answer to somebody at the console: not kept in the log
    host,
};

class Line {
public:
    [[nodiscard]] explicit Line(Output output);
    ~Line();
    Line(Line const&) = delete;
    Line& operator=(Line const&) = delete;

    [[nodiscard]] Sink& sink();

private:
    IrqSave irqs_;
    Output output_;
    bool locked_;
};

// What is being typed at the console, to be taken away while a line is printed and brought back behind it. Both are
// called with the console's lock held.
struct ConsoleOverlay {
    void* self{nullptr};
    void (*hide)(void* self, Sink& sink){nullptr};
    void (*show)(void* self, Sink& sink){nullptr};
};

// While it lives, nobody else prints; what is typed may change, and be shown or no longer be shown.
class ConsoleHold {
public:
    [[nodiscard]] ConsoleHold();
    ~ConsoleHold();
    ConsoleHold(ConsoleHold const&) = delete;
    ConsoleHold& operator=(ConsoleHold const&) = delete;

    [[nodiscard]] static Sink& sink();
    // nullptr: nothing is shown. `shown` stays where it is until another is set.
    static void set_overlay(ConsoleOverlay const* shown);

private:
    IrqSave irqs_;
    bool locked_;
};

// The last that was shown, but for replies.
inline constexpr std::size_t console_log_bytes = 16'384;

struct LogPart {
    std::uint64_t next; // where the rest begins
    std::size_t size;   // 0: that was all
};
// Copies from position `from` (0 is the first byte ever; what is no longer kept is skipped) up to the next line end.
[[nodiscard]] LogPart console_log(std::uint64_t from, std::span<char> into) noexcept;

// Sets the UART up. Before this, output is lost.
void console_init() noexcept;
// From now on, output takes no locks: they may be held by pCPUs that no longer run.
void console_enter_panic() noexcept;
// Suppresses log() (not say()), for the option `quiet`.
void console_set_quiet(bool quiet) noexcept;
[[nodiscard]] bool console_is_quiet() noexcept;
// The machine channel, unlocked: for whole reports of one pCPU. Where there is no debug port, text vanishes.
[[nodiscard]] Sink& host_channel() noexcept;

// A line of the boot log: "[    0.012345] text".
template <typename... Args>
void log(std::string_view format, Args const&... args)
{
    if (console_is_quiet())
        return;
    Line line{Output::stamped_console};
    print(line.sink(), format, args...);
}

// A line as it is: results, errors, test protocol.
template <typename... Args>
void say(std::string_view format, Args const&... args)
{
    Line line{Output::console};
    print(line.sink(), format, args...);
}

// A line for the host tool.
template <typename... Args>
void tell_host(std::string_view format, Args const&... args)
{
    Line line{Output::host};
    print(line.sink(), format, args...);
}

} // namespace hv::arch
