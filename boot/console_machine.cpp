#include "boot/console_machine.hpp"

#include "arch/x86_64/backtrace.hpp"
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/irq_save.hpp"

namespace hv::boot {

console::VmCondition KernelMachine::condition_of(sched::Domain const& domain) const
{
    Vm const* const vm{find_vm(vms_, domain.id)};
    switch (vm == nullptr ? VmState::runs : vm->state()) {
    case VmState::runs:
        return console::VmCondition::runs;
    case VmState::shut_down:
        return console::VmCondition::shut_down;
    case VmState::crashed:
        return console::VmCondition::crashed;
    }
    return console::VmCondition::runs;
}

Result<DomainId, console::VmRefusal> KernelMachine::create(console::VmRequest const& request)
{
    VmConfig config{.name = request.name,
                    .vcpus = request.vcpus,
                    .memory_mib = request.memory_mib,
                    .params = request.params,
                    .workload = request.workload};
    if (request.cpus != nullptr)
        config.cpus = *request.cpus;
    if (request.cpus_soft != nullptr)
        config.cpus_soft = *request.cpus_soft;
    auto const made = create_vm(vms_, config);
    if (!made)
        return fail(console::VmRefusal{text_of(made.error())});
    return (*made)->domain.id;
}

console::NodeMemory KernelMachine::memory_of(NodeId node) const
{
    Kernel const& k{kernel()};
    std::uint64_t first{~std::uint64_t{0}};
    for (acpi::MemoryRange const& range : k.map.memory)
        if (range.node == node && range.base.value() < first)
            first = range.base.value();
    arch::IrqSave const irqs;
    mm::NodeStats const stats{k.pages->stats(node)};
    return {.span_pages = stats.span,
            .first_page = stats.span == 0 ? 0 : first / mm::page_size,
            .pages = stats.present,
            .free_pages = stats.free + stats.cached,
            .dirty_pages = stats.dirty,
            .claimed_pages = stats.claimed};
}

console::MachineFacts KernelMachine::facts() const
{
    Kernel const& k{kernel()};
    arch::CpuidLeaf const basic{arch::cpuid(1)}, extended{arch::cpuid(0x8000'0001)}, more{arch::cpuid(7)};
    constexpr std::uint32_t svm = 1u << 2;
    return {.version = kernel_version,
            .command_line = k.info.command_line,
            .tsc_khz = arch::clock_khz(),
            .features = {basic.edx, basic.ecx, extended.edx, extended.ecx, 0, more.ebx, more.ecx, more.edx},
            .has_svm = (extended.ecx & svm) != 0};
}

// On each pCPU in turn: what it was doing when it was asked.
void KernelMachine::show_registers(console::Reply& reply)
{
    for (CpuId const cpu : kernel().topology->online) {
        BufferSink sink{scratch_};
        arch::call_on(
            cpu,
            [](void* argument) {
                auto& out = *static_cast<BufferSink*>(argument);
                print(out, "CPU{}: cr3={:x} cr2={:x} stack={:x}\n", arch::this_cpu(), arch::read_cr3(),
                      arch::read_cr2(), reinterpret_cast<std::uint64_t>(__builtin_frame_address(0)));
                arch::print_backtrace(out, reinterpret_cast<std::uint64_t>(__builtin_return_address(0)),
                                      reinterpret_cast<std::uint64_t>(__builtin_frame_address(0)));
            },
            &sink);
        console::say_lines(reply, sink.text());
    }
}

// How far each pCPU's clock is from ours: it was read between two looks at ours.
void KernelMachine::show_clocks(console::Reply& reply)
{
    for (CpuId const cpu : kernel().topology->online) {
        Instant there;
        Instant const before{arch::clock_now()};
        arch::call_on(cpu, [](void* argument) { *static_cast<Instant*>(argument) = arch::clock_now(); }, &there);
        Duration const trip{arch::clock_now() - before};
        reply.field("cpu", "CPU{}:", cpu);
        reply.field("clock_ns", " {} ns", there.ns());
        reply.field("off_ns", ", {} ns from the middle", (there - before - trip / 2).ns());
        reply.field("trip_ns", " of {} ns", trip.ns());
        reply.end_row();
    }
}

void KernelMachine::show_log(console::Reply& reply)
{
    std::array<char, 256> buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): what is used is filled.
    for (std::uint64_t at = 0;;) {
        arch::LogPart const part{arch::console_log(at, buffer)};
        if (part.size == 0)
            return;
        at = part.next;
        bool const ends_line{buffer[part.size - 1] == '\n'};
        reply.say("{}", std::string_view{buffer.data(), ends_line ? part.size - 1 : part.size});
    }
}

} // namespace hv::boot
