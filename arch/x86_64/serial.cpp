#include "arch/x86_64/serial.hpp"

#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/irq_save.hpp"

#include <arch/cpu.hpp>

#include <array>
#include <atomic>

namespace hv::arch {
namespace {

// Registers, from the port's first address on.
constexpr std::uint16_t data = 0, interrupts = 1, fifo_control = 2, line_control = 3, modem_control = 4,
                        line_status = 5, scratch = 7;
constexpr std::uint8_t input_ready = 0x01, overrun = 0x02, transmitter_empty = 0x20;
constexpr std::uint8_t interrupt_on_input = 0x01;
constexpr unsigned fifo_bytes = 16;
constexpr std::array<std::uint16_t, serial_port_count> bases{0x3F8, 0x2F8};

class Output final : public Sink {
public:
    constexpr Output(std::uint16_t base, bool is_terminal) : base_{base}, is_terminal_{is_terminal} {}

    void write(std::string_view text) override
    {
        for (char const c : text) {
            if (c == '\n' && is_terminal_)
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
            for (unsigned tries = 0; tries < 100'000 && (in8(base_ + line_status) & transmitter_empty) == 0; ++tries)
                relax();
            room_ = fifo_bytes;
        }
        --room_;
        out8(base_, static_cast<std::uint8_t>(c));
    }

    std::uint16_t base_;
    bool is_terminal_;
    unsigned room_{0};
};

// One writer, one reader, on the same pCPU: relaxed is enough, an interrupt sees its own pCPU's stores.
class Input {
public:
    [[nodiscard]] bool full() const { return head() - tail() == bytes_.size(); }
    [[nodiscard]] bool empty() const { return head() == tail(); }
    void push(char c)
    {
        bytes_[head() % bytes_.size()] = c;
        std::atomic_signal_fence(std::memory_order_release);
        head_.store(head() + 1, std::memory_order_relaxed);
    }
    [[nodiscard]] char pop()
    {
        char const c{bytes_[tail() % bytes_.size()]};
        std::atomic_signal_fence(std::memory_order_release);
        tail_.store(tail() + 1, std::memory_order_relaxed);
        return c;
    }

    std::atomic<std::uint32_t> lost{0};
    bool listens{false};

private:
    [[nodiscard]] std::uint32_t head() const { return head_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint32_t tail() const { return tail_.load(std::memory_order_relaxed); }

    std::array<char, 1024> bytes_{};
    std::atomic<std::uint32_t> head_{0}, tail_{0};
};

constinit std::array<Output, serial_port_count> outputs{Output{bases[0], true}, Output{bases[1], false}};
constinit std::array<Input, serial_port_count> inputs{};
using Notice = void (*)(void*);
constinit Notice notice_input{nullptr};
constinit void* notice_self{nullptr};

std::size_t index_of(SerialPort port) { return static_cast<std::size_t>(port); }

// Takes what the port has; true if anything came.
bool drain(std::size_t port)
{
    std::uint16_t const base{bases[port]};
    Input& input{inputs[port]};
    bool came{false};
    for (std::uint8_t status = in8(base + line_status); (status & input_ready) != 0; status = in8(base + line_status)) {
        if ((status & overrun) != 0)
            input.lost.fetch_add(1, std::memory_order_relaxed);
        if (input.full()) {
            out8(base + interrupts, 0);
            break;
        }
        input.push(static_cast<char>(in8(base + data)));
        came = true;
    }
    return came;
}

} // namespace

void serial_init(SerialPort port) noexcept
{
    std::uint16_t const base{bases[index_of(port)]};
    out8(base + interrupts, 0x00);
    out8(base + line_control, 0x80); // divisor latch: 115200 baud
    out8(base + data, 0x01);
    out8(base + interrupts, 0x00);
    out8(base + line_control, 0x03);  // 8 bits, no parity, 1 stop bit
    out8(base + fifo_control, 0xC7);  // FIFOs on and empty
    out8(base + modem_control, 0x0B); // ready; its interrupt goes out
}

bool serial_exists(SerialPort port) noexcept
{
    std::uint16_t const base{bases[index_of(port)]};
    out8(base + scratch, 0x5A);
    return in8(base + scratch) == 0x5A;
}

Sink& serial_sink(SerialPort port) noexcept { return outputs[index_of(port)]; }

void serial_listen(SerialPort port, void (*notice)(void* self), void* self) noexcept
{
    IrqSave const irqs;
    notice_input = notice;
    notice_self = self;
    inputs[index_of(port)].listens = true;
    out8(bases[index_of(port)] + interrupts, interrupt_on_input);
}

std::optional<char> serial_take(SerialPort port) noexcept
{
    Input& input{inputs[index_of(port)]};
    if (input.empty())
        return std::nullopt;
    bool const was_full{input.full()};
    char const c{input.pop()};
    if (was_full) { // Switching it on again brings an interrupt if bytes wait.
        IrqSave const irqs;
        out8(bases[index_of(port)] + interrupts, interrupt_on_input);
    }
    return c;
}

bool serial_has_input(SerialPort port) noexcept { return !inputs[index_of(port)].empty(); }

std::uint32_t serial_take_lost(SerialPort port) noexcept
{
    return inputs[index_of(port)].lost.exchange(0, std::memory_order_relaxed);
}

void serial_interrupt() noexcept
{
    bool came{false};
    for (std::size_t port = 0; port < serial_port_count; ++port)
        if (inputs[port].listens)
            came |= drain(port);
    if (came && notice_input != nullptr)
        notice_input(notice_self);
}

} // namespace hv::arch
