#include "boot/console_task.hpp"

#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/io_apic.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/serial.hpp"
#include "arch/x86_64/upcalls.hpp"
#include "boot/acpi/madt.hpp"
#include "boot/acpi/rsdp.hpp"
#include "boot/console/session.hpp"
#include "boot/console_machine.hpp"
#include "boot/refuse.hpp"

#include <atomic>
#include <new>

namespace hv::boot {
namespace {

using arch::SerialPort;

constexpr std::string_view prompt{"nv> "};

class TerminalPort final : public console::Port {
public:
    void line(std::string_view text) override
    {
        arch::Line line{arch::Output::reply};
        line.sink().write(text);
    }
};

// Only the console task writes to it.
class JsonPort final : public console::Port {
public:
    void line(std::string_view text) override
    {
        arch::serial_sink(SerialPort::com2).write(text);
        arch::serial_sink(SerialPort::com2).write("\n");
    }
};

constexpr std::size_t most_watched_vcpus = 1024;

class ConsoleTask {
public:
    explicit ConsoleTask(VmMachine& vms)
        : machine_{vms}, completer_{machine_}, editor_{prompt, &completer_}, text_{console::Form::text, terminal_},
          json_{console::Form::json, json_port_}, self_{arch::this_cpu()}
    {
        vms.console = this;
        vms.at_console_timer = on_timer;
    }

    void open()
    {
        arch::serial_listen(SerialPort::com1, on_input, this);
        if (arch::serial_exists(SerialPort::com2)) {
            arch::serial_init(SerialPort::com2);
            arch::serial_listen(SerialPort::com2, on_input, this);
        }
        arch::say("Type help for the commands, quit to end the machine.");
        show_prompt(true);
    }

    // What has arrived, until there is nothing left. Interrupts on.
    void serve()
    {
        while (std::optional<char> const byte = arch::serial_take(SerialPort::com1))
            type(*byte);
        while (std::optional<char> const byte = arch::serial_take(SerialPort::com2))
            collect(*byte);
        for (SerialPort const port : {SerialPort::com1, SerialPort::com2})
            if (std::uint32_t const lost{arch::serial_take_lost(port)}; lost != 0)
                arch::say("warning: a serial port lost {} bytes of input; send slower", lost);
        if (is_due_.exchange(false) && machine_.shown())
            show_again();
        arch::IrqSave const irqs;
        if (!has_work())
            machine_.system().core().set_idle_work(self_, false);
    }

    [[nodiscard]] bool has_work() const
    {
        return is_due_.load() || arch::serial_has_input(SerialPort::com1) || arch::serial_has_input(SerialPort::com2);
    }

private:
    static void on_input(void* self)
    {
        auto& task = *static_cast<ConsoleTask*>(self);
        task.machine_.system().core().set_idle_work(task.self_, true);
    }
    static void on_timer(void* self)
    {
        static_cast<ConsoleTask*>(self)->is_due_.store(true);
        on_input(self);
    }
    static void hide(void*, Sink& sink) { console::LineEditor::hide(sink); }
    static void show(void* self, Sink& sink) { static_cast<ConsoleTask*>(self)->editor_.show(sink); }

    void show_prompt(bool shown)
    {
        arch::ConsoleHold const hold;
        if (shown)
            editor_.show(arch::ConsoleHold::sink());
        arch::ConsoleHold::set_overlay(shown ? &overlay_ : nullptr);
    }

    // The screen anew, over what was there, and once more when the time has come.
    void show_again()
    {
        {
            arch::ConsoleHold const hold;
            arch::ConsoleHold::sink().write("\x1b[H\x1b[2J");
        }
        console::Context context{machine_, text_};
        console::show_top(context, *machine_.shown(), samples_);
        arch::IrqSave const irqs;
        machine_.system().core().pool().env().arm(
            self_, console_timer, arch::clock_now() + Duration::from_ms(1000) * machine_.shown()->seconds);
    }

    void begin_showing()
    {
        samples_.fill({});
        show_again();
    }

    void type(char byte)
    {
        using Event = console::LineEditor::Event;
        if (machine_.shown()) { // Any key.
            machine_.stop_showing();
            return show_prompt(true);
        }
        Event event{};
        {
            arch::ConsoleHold const hold;
            event = editor_.feed(byte, arch::ConsoleHold::sink());
            if (event == Event::line)
                arch::ConsoleHold::set_overlay(nullptr);
        }
        if (event == Event::end_of_input)
            arch::say("quit ends the machine.");
        if (event == Event::none)
            return;
        if (event == Event::line) {
            console::Context context{machine_, text_};
            console::run_line(context, editor_.line());
            editor_.clear();
            if (machine_.shown())
                return begin_showing();
        }
        show_prompt(true);
    }

    void collect(char byte)
    {
        if (byte != '\n' && byte != '\r') {
            if (request_size_ < request_.size())
                request_[request_size_] = byte;
            ++request_size_;
            return;
        }
        std::size_t const size{request_size_};
        request_size_ = 0;
        console::Context context{machine_, json_};
        if (size > request_.size())
            json_.refuse("a request has at most {} bytes", request_.size());
        if (size != 0)
            console::run_line(context, {request_.data(), size > request_.size() ? 0 : size});
    }

    KernelMachine machine_;
    console::CommandCompleter completer_;
    console::LineEditor editor_;
    TerminalPort terminal_;
    JsonPort json_port_;
    console::Reply text_, json_;
    arch::ConsoleOverlay overlay_{.self = this, .hide = hide, .show = show};
    std::array<char, console::LineEditor::longest> request_{};
    std::size_t request_size_{0};
    std::array<console::TopSample, most_watched_vcpus> samples_{};
    std::atomic<bool> is_due_{false};
    CpuId self_;
};

void route(Kernel const& k, Bytes madt, SerialPort port)
{
    Result<acpi::IsaInterrupt, ParseError> const found{
        acpi::isa_interrupt(madt, static_cast<std::uint8_t>(arch::serial_irq[static_cast<unsigned>(port)]))};
    if (!found)
        refuse_because(found.error());
    if (found->controller == PhysAddr{})
        refuse("option console: the firmware names no I/O APIC that serial ports could interrupt by; leave it out");
    arch::io_apic_route({.controller = found->controller,
                         .pin = found->pin,
                         .is_level = found->is_level,
                         .is_active_low = found->is_active_low},
                        arch::Vector::serial, k.map.pcpus[k.map.boot_pcpu.value()].apic_id);
}

} // namespace

void route_console_input(Kernel const& k)
{
    if (!k.options.console)
        return;
    acpi::Tables const tables{acpi::load_tables(physical_memory(), k.info.rsdp)};
    if (!tables.madt)
        refuse_because(tables.madt.error());
    if (tables.madt->empty())
        refuse("option console: the firmware has no MADT to route interrupts by; leave it out");
    route(k, *tables.madt, SerialPort::com1);
    route(k, *tables.madt, SerialPort::com2);
}

[[noreturn]] void serve_console(VmMachine& vms)
{
    alignas(ConsoleTask) static constinit std::array<std::byte, sizeof(ConsoleTask)> memory{};
    ConsoleTask& task{*::new (static_cast<void*>(memory.data())) ConsoleTask{vms}};
    task.open();
    for (;;) {
        arch::irqs_disable(); // Or a byte may come between the look and the halt.
        if (task.has_work()) {
            arch::irqs_enable();
            task.serve();
        } else {
            arch::idle_once();
        }
    }
}

} // namespace hv::boot
