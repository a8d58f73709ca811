#include "arch/x86_64/console.hpp"

#include "arch/generic/ticket_lock.hpp"
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/serial.hpp"

#include <array>
#include <atomic>

namespace hv::arch {
namespace {

constexpr std::uint16_t debug_port = 0xE9;

class DebugPortSink final : public Sink {
public:
    void write(std::string_view text) override
    {
        for (char const c : text)
            out8(debug_port, static_cast<std::uint8_t>(c));
    }
};

// What was shown last, for who looks later. Guarded by the console's lock.
class LogSink final : public Sink {
public:
    void write(std::string_view text) override
    {
        serial_sink(SerialPort::com1).write(text);
        for (char const c : text)
            bytes_[end_++ % bytes_.size()] = c;
    }
    [[nodiscard]] std::uint64_t begin() const { return end_ < bytes_.size() ? 0 : end_ - bytes_.size(); }
    [[nodiscard]] std::uint64_t end() const { return end_; }
    [[nodiscard]] char at(std::uint64_t position) const { return bytes_[position % bytes_.size()]; }

private:
    std::array<char, console_log_bytes> bytes_{};
    std::uint64_t end_{0};
};

constinit LogSink logged_serial;
constinit DebugPortSink debug_channel;
constinit TicketLock console_lock{LockKey{console_lock_rank, 0}};
constinit TicketLock host_lock{LockKey{console_lock_rank, 1}};
// Relaxed: set once by a pCPU that has stopped all others, or before there are others.
constinit std::atomic<bool> panicking{false};
constinit std::atomic<bool> is_quiet{false};
// Guarded by the console's lock.
constinit ConsoleOverlay const* overlay{nullptr};

TicketLock& lock_of(Output output) { return output == Output::host ? host_lock : console_lock; }

void print_stamp(Sink& sink)
{
    std::int64_t const us = clock_now().ns() / 1000;
    print(sink, "[{:5}.{:06}] ", static_cast<std::uint64_t>(us / 1'000'000),
          static_cast<std::uint64_t>(us % 1'000'000));
}

} // namespace

// The lock lives as long as the object, which the analyser cannot follow through lock_of().
Line::Line(Output output) HV_NO_THREAD_SAFETY_ANALYSIS : output_{output},
                                                         locked_{!panicking.load(std::memory_order_relaxed)}
{
    if (locked_)
        lock_of(output_).lock();
    if (output_ != Output::host && overlay != nullptr)
        overlay->hide(overlay->self, serial_sink(SerialPort::com1));
    if (output_ == Output::stamped_console)
        print_stamp(sink());
}

Line::~Line() HV_NO_THREAD_SAFETY_ANALYSIS
{
    if (output_ != Output::raw_console)
        sink().write("\n");
    if (output_ != Output::host && overlay != nullptr)
        overlay->show(overlay->self, serial_sink(SerialPort::com1));
    if (locked_)
        lock_of(output_).unlock();
}

Sink& Line::sink()
{
    if (output_ == Output::host)
        return debug_channel;
    return output_ == Output::reply ? serial_sink(SerialPort::com1) : static_cast<Sink&>(logged_serial);
}

void console_init() noexcept { serial_init(SerialPort::com1); }

ConsoleHold::ConsoleHold() HV_NO_THREAD_SAFETY_ANALYSIS : locked_{!panicking.load(std::memory_order_relaxed)}
{
    if (locked_)
        console_lock.lock();
}

ConsoleHold::~ConsoleHold() HV_NO_THREAD_SAFETY_ANALYSIS
{
    if (locked_)
        console_lock.unlock();
}

Sink& ConsoleHold::sink() { return serial_sink(SerialPort::com1); }
void ConsoleHold::set_overlay(ConsoleOverlay const* shown) { overlay = shown; }

LogPart console_log(std::uint64_t from, std::span<char> into) noexcept
{
    ConsoleHold const hold;
    std::uint64_t at{from < logged_serial.begin() ? logged_serial.begin() : from};
    std::size_t count{0};
    while (at < logged_serial.end() && count < into.size() && (count == 0 || into[count - 1] != '\n'))
        into[count++] = logged_serial.at(at++);
    return {.next = at, .size = count};
}

void console_enter_panic() noexcept { panicking.store(true, std::memory_order_relaxed); }
void console_set_quiet(bool quiet) noexcept { is_quiet.store(quiet, std::memory_order_relaxed); }
bool console_is_quiet() noexcept { return is_quiet.load(std::memory_order_relaxed); }
Sink& host_channel() noexcept { return debug_channel; }

} // namespace hv::arch
