#include "arch/x86_64/console.hpp"

#include "arch/generic/ticket_lock.hpp"
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/instructions.hpp"

#include <atomic>

namespace hv::arch {
namespace {

constexpr std::uint16_t com1 = 0x3F8;
constexpr std::uint16_t com1_line_status = com1 + 5;
constexpr std::uint8_t transmitter_empty = 0x20;
constexpr unsigned fifo_bytes = 16;
constexpr std::uint16_t debug_port = 0xE9;

class SerialSink final : public Sink {
public:
    void write(std::string_view text) override
    {
        for (char const c : text) {
            if (c == '\n')
                put('\r');
            put(c);
        }
    }

private:
    void put(char c)
    {
        // A FIFO's worth for each look at the line status: a look costs as much as the byte. The limit frees us from a
        // UART that is not there.
        if (room_ == 0) {
            for (unsigned tries = 0; tries < 100'000 && (in8(com1_line_status) & transmitter_empty) == 0; ++tries)
                relax();
            room_ = fifo_bytes;
        }
        --room_;
        out8(com1, static_cast<std::uint8_t>(c));
    }

    unsigned room_{0};
};

class DebugPortSink final : public Sink {
public:
    void write(std::string_view text) override
    {
        for (char const c : text)
            out8(debug_port, static_cast<std::uint8_t>(c));
    }
};

constinit SerialSink serial;
constinit DebugPortSink debug_channel;
constinit TicketLock console_lock{LockKey{console_lock_rank, 0}};
constinit TicketLock host_lock{LockKey{console_lock_rank, 1}};
// Relaxed: set once by a pCPU that has stopped all others, or before there are others.
constinit std::atomic<bool> panicking{false};
constinit std::atomic<bool> is_quiet{false};

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
    if (output_ == Output::stamped_console)
        print_stamp(sink());
}

Line::~Line() HV_NO_THREAD_SAFETY_ANALYSIS
{
    if (output_ != Output::raw_console)
        sink().write("\n");
    if (locked_)
        lock_of(output_).unlock();
}

Sink& Line::sink()
{
    if (output_ == Output::host)
        return debug_channel;
    return serial;
}

void console_init() noexcept
{
    out8(com1 + 1, 0x00); // no interrupts
    out8(com1 + 3, 0x80); // divisor latch: 115200 baud
    out8(com1 + 0, 0x01);
    out8(com1 + 1, 0x00);
    out8(com1 + 3, 0x03); // 8 bits, no parity, 1 stop bit
    out8(com1 + 2, 0xC7); // FIFOs on and empty
    out8(com1 + 4, 0x03); // ready
}

void console_enter_panic() noexcept { panicking.store(true, std::memory_order_relaxed); }
void console_set_quiet(bool quiet) noexcept { is_quiet.store(quiet, std::memory_order_relaxed); }
bool console_is_quiet() noexcept { return is_quiet.load(std::memory_order_relaxed); }
Sink& host_channel() noexcept { return debug_channel; }

} // namespace hv::arch
