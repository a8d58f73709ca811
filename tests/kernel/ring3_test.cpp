// Ring 3: whatever guests try that they may not ends them and nothing else.
#include "tests/kernel/ring3_programs.hpp"

#include "arch/x86_64/call.hpp"
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/features.hpp"
#include "arch/x86_64/layout.hpp"
#include "boot/selftest.hpp"

#include <atomic>
#include <string_view>

// NOLINTBEGIN(readability-identifier-naming)
HV_PROGRAM(guest_read, "movq (%rdi), %rax\n ud2");
HV_PROGRAM(guest_write, "movq $1, (%rdi)\n ud2");
HV_PROGRAM(guest_jump, "jmp *%rdi");
HV_PROGRAM(guest_hlt, "hlt");
HV_PROGRAM(guest_cli, "cli");
HV_PROGRAM(guest_sti, "sti");
HV_PROGRAM(guest_wrmsr, "movl $0xC0000101, %ecx\n wrmsr");
HV_PROGRAM(guest_rdmsr, "movl $0xC0000101, %ecx\n rdmsr");
HV_PROGRAM(guest_cr3, "movq %rdi, %cr3");
HV_PROGRAM(guest_cr0, "movq %cr0, %rax");
HV_PROGRAM(guest_dr7, "movq %rdi, %dr7");
HV_PROGRAM(guest_lgdt, "lgdt (%rsp)");
HV_PROGRAM(guest_lidt, "lidt (%rsp)");
HV_PROGRAM(guest_ltr, "movl $0x28, %eax\n ltr %ax");
HV_PROGRAM(guest_invlpg, "invlpg (%rdi)");
HV_PROGRAM(guest_swapgs, "swapgs");
HV_PROGRAM(guest_sysret, "sysretq");
HV_PROGRAM(guest_sgdt, "sgdt -16(%rsp)\n ud2");
HV_PROGRAM(guest_sidt, "sidt -16(%rsp)\n ud2");
HV_PROGRAM(guest_in, "movw $0x60, %dx\n inb %dx, %al");
HV_PROGRAM(guest_out, "movw $0xF4, %dx\n movb $0x10, %al\n outb %al, %dx");
HV_PROGRAM(guest_outs, "movw $0xE9, %dx\n movq %rsp, %rsi\n decq %rsi\n outsb");
HV_PROGRAM(guest_int80, "int $0x80");
HV_PROGRAM(guest_int3, "int3");
HV_PROGRAM(guest_int14, "int $14");
HV_PROGRAM(guest_far_call, "pushq $8\n leaq 1f(%rip), %rax\n pushq %rax\n lretq\n1: ud2");
HV_PROGRAM(guest_ss, "movl $0x10, %eax\n movl %eax, %ss");
HV_PROGRAM(guest_divide, "xorl %ecx, %ecx\n movl $1, %eax\n xorl %edx, %edx\n divl %ecx");
HV_PROGRAM(guest_ud2, "ud2");
// Both with the error's mask off: divide by zero. (QEMU 7.2 has no vector errors: it goes on to the ud2.)
HV_PROGRAM(guest_sse, "pushq $0x1d80\n ldmxcsr (%rsp)\n movl $1, %eax\n cvtsi2ssl %eax, %xmm0\n xorps %xmm1, %xmm1\n"
                      "divss %xmm1, %xmm0\n ud2");
HV_PROGRAM(guest_x87, "pushq $0x37b\n fldcw (%rsp)\n fld1\n fldz\n fdivrp\n fwait\n ud2");
HV_PROGRAM(guest_step, "pushfq\n orl $0x100, (%rsp)\n popfq\n nop\n nop\n ud2");
HV_PROGRAM(guest_push, "movq %rdi, %rsp\n pushq %rax");
HV_PROGRAM(guest_overflow, "1: pushq %rax\n jmp 1b");
HV_PROGRAM(guest_own_code, "movb $0x90, 1f(%rip)\n1: ud2");
HV_PROGRAM(guest_on_stack, "movb $0xC3, -8(%rsp)\n leaq -8(%rsp), %rax\n callq *%rax\n ud2");
// Far beyond the stack pointer that it is given, nothing else than 0 there: each call must work without any stack.
HV_PROGRAM(guest_calls, "xorl %esp, %esp\n"
                        "movl $1000, %ebx\n"
                        "1: movl $0x5EED, %edi\n xorl %eax, %eax\n syscall\n testq %rax, %rax\n jnz 2f\n"
                        "cmpl $0x5EED, %edi\n jne 2f\n decl %ebx\n jnz 1b\n"
                        "movl $1, %eax\n syscall\n cmpq $2, %rax\n jne 2f\n"
                        "movl $99, %eax\n syscall\n cmpq $-1, %rax\n jne 2f\n"
                        "movabsq $0x8000000000000002, %rax\n syscall\n cmpq $-1, %rax\n jne 2f\n"
                        "xorl %edi, %edi\n jmp 3f\n2: movl $1, %edi\n3: movl $2, %eax\n syscall\n ud2");
// NOLINTEND(readability-identifier-naming)

namespace hv::test {
namespace {

using boot::Ring3Guest;

struct Escape {
    std::string_view name;
    Program program;
    std::uint64_t argument;
    unsigned vector;
    std::uint64_t error_code;
};
constexpr unsigned any = ~0u;

bool ends_as_it_should(Escape const& a)
{
    std::optional<arch::Ring3Outcome> const outcome{run(a.program, a.argument)};
    bool const right = outcome && outcome->end == arch::Ring3End::exception &&
                       (a.vector == any || outcome->registers.vector == a.vector) &&
                       (a.error_code == any || outcome->registers.error_code == a.error_code) &&
                       (a.vector != 14 || a.argument == 0 || outcome->address == a.argument);
    if (!right && outcome) {
        arch::Line line{arch::Output::console};
        print(line.sink(), "# {}: ", a.name);
        describe(line.sink(), *outcome);
    }
    return right;
}

template <std::size_t count>
bool all_end_as_they_should(Escape const (&attempts)[count])
{
    bool all{true};
    for (Escape const& a : attempts)
        all = ends_as_it_should(a) && all;
    return all;
}

constexpr unsigned divide = 0, debug = 1, undefined = 6, protection = 13, page = 14, x87_error = 16;
constexpr std::uint64_t read_forbidden = 5, write_forbidden = 7, fetch_forbidden = 0x15, read_missing = 4,
                        write_missing = 6, fetch_missing = 0x14;

bool has_umip() { return (arch::read_cr4() >> 11 & 1) != 0; }

} // namespace

HV_SELFTEST(ring3_hypercalls_need_no_stack_and_refuse_what_they_do_not_know)
{
    std::optional<arch::Ring3Outcome> const outcome{run(HV_CODE(guest_calls))};
    HV_CHECK(outcome.has_value());
    HV_CHECK(outcome->end == arch::Ring3End::hypercall);
    HV_CHECK(outcome->registers.rdi == 0 && outcome->registers.rsp == 0);
}

HV_SELFTEST(ring3_privileged_instructions_end_the_guest)
{
    Escape const attempts[]{
        {"hlt", HV_CODE(guest_hlt), 0, protection, 0},       {"cli", HV_CODE(guest_cli), 0, protection, 0},
        {"sti", HV_CODE(guest_sti), 0, protection, 0},       {"wrmsr", HV_CODE(guest_wrmsr), 0, protection, 0},
        {"rdmsr", HV_CODE(guest_rdmsr), 0, protection, 0},   {"to cr3", HV_CODE(guest_cr3), 0, protection, 0},
        {"from cr0", HV_CODE(guest_cr0), 0, protection, 0},  {"to dr7", HV_CODE(guest_dr7), 0, protection, 0},
        {"lgdt", HV_CODE(guest_lgdt), 0, protection, 0},     {"lidt", HV_CODE(guest_lidt), 0, protection, 0},
        {"ltr", HV_CODE(guest_ltr), 0, protection, 0},       {"invlpg", HV_CODE(guest_invlpg), 0, protection, 0},
        {"swapgs", HV_CODE(guest_swapgs), 0, protection, 0}, {"sysret", HV_CODE(guest_sysret), 0, protection, 0},
    };
    HV_CHECK(all_end_as_they_should(attempts));
}

HV_SELFTEST(ring3_ports_end_the_guest)
{
    Escape const attempts[]{{"in", HV_CODE(guest_in), 0, protection, 0},
                            {"out, to end the machine", HV_CODE(guest_out), 0, protection, 0},
                            {"outs", HV_CODE(guest_outs), 0, protection, 0}};
    HV_CHECK(all_end_as_they_should(attempts));
}

// (QEMU 7.2 has other error codes than processors, and reads the frame of a far return with the kernel's rights.)
HV_SELFTEST(ring3_gates_and_segments_of_the_kernel_end_the_guest)
{
    Escape const attempts[]{{"int 0x80", HV_CODE(guest_int80), 0, protection, any},
                            {"int 3", HV_CODE(guest_int3), 0, protection, any},
                            {"int 14", HV_CODE(guest_int14), 0, protection, any},
                            {"far return to ring 0", HV_CODE(guest_far_call), 0, any, any},
                            {"the kernel's stack segment", HV_CODE(guest_ss), 0, protection, 0x10}};
    HV_CHECK(all_end_as_they_should(attempts));
}

HV_SELFTEST(ring3_kernel_memory_is_out_of_reach)
{
    std::uint64_t const text{arch::address_of(text_start)}, data{arch::address_of(data_start)};
    std::uint64_t const block{arch::address_of(&arch::this_percpu())}, direct{arch::direct_map_base + arch::image_base};
    Escape const attempts[]{{"read text", HV_CODE(guest_read), text, page, read_forbidden},
                            {"write text", HV_CODE(guest_write), text, page, write_forbidden},
                            {"execute text", HV_CODE(guest_jump), text, page, fetch_forbidden},
                            {"read data", HV_CODE(guest_read), data, page, read_forbidden},
                            {"write data", HV_CODE(guest_write), data, page, write_forbidden},
                            {"read a pCPU's block", HV_CODE(guest_read), block, page, read_forbidden},
                            {"write a pCPU's block", HV_CODE(guest_write), block, page, write_forbidden},
                            {"read the direct map", HV_CODE(guest_read), direct, page, read_forbidden},
                            {"read the APIC", HV_CODE(guest_read), arch::mmio_base, page, read_forbidden},
                            {"write beyond all", HV_CODE(guest_write), arch::mmio_base - 4096, page, write_missing}};
    HV_CHECK(all_end_as_they_should(attempts));
}

HV_SELFTEST(ring3_own_code_is_not_writable_and_own_stack_not_executable)
{
    Escape const attempts[]{
        {"write own code", HV_CODE(guest_own_code), 0, page, write_forbidden},
        {"execute own stack", HV_CODE(guest_on_stack), 0, page, fetch_forbidden},
        {"write code", HV_CODE(guest_write), Ring3Guest::code_at.value(), page, write_forbidden},
        {"execute behind the code", HV_CODE(guest_jump), Ring3Guest::code_at.value() + 4096, page, fetch_missing},
        {"read behind the stack", HV_CODE(guest_read), Ring3Guest::stack_end.value(), page, read_missing},
        {"read null", HV_CODE(guest_read), 0, page, read_missing},
        {"execute null", HV_CODE(guest_jump), 0, page, fetch_missing}};
    HV_CHECK(all_end_as_they_should(attempts));
}

// What the processor itself would need the guest's stack for. (No address: processors say stack fault, QEMU 7.2 general
// protection.)
HV_SELFTEST(ring3_faults_without_a_usable_stack_end_the_guest)
{
    constexpr std::uint64_t no_address = std::uint64_t{1} << 63;
    Escape const attempts[]{
        {"stack overflow", HV_CODE(guest_overflow), 0, page, write_missing},
        {"no stack", HV_CODE(guest_push), 0x10'0008, page, write_missing},
        {"stack at no address", HV_CODE(guest_push), no_address, any, 0},
        {"stack in the code", HV_CODE(guest_push), Ring3Guest::code_at.value() + 64, page, write_forbidden},
        {"stack in the kernel", HV_CODE(guest_push), arch::address_of(data_start) + 64, page, write_forbidden},
        {"jump to no address", HV_CODE(guest_jump), no_address, protection, 0}};
    for (Escape a : attempts) {
        if (a.vector == page && a.argument != 0) { // It is 8 below that it writes.
            std::optional<arch::Ring3Outcome> const outcome{run(a.program, a.argument)};
            HV_CHECK(outcome && outcome->registers.vector == page && outcome->registers.error_code == a.error_code);
            HV_CHECK(outcome->address == a.argument - 8);
            continue;
        }
        HV_CHECK(ends_as_it_should(a));
    }
}

HV_SELFTEST(ring3_exceptions_end_the_guest)
{
    Escape const attempts[]{{"divide by zero", HV_CODE(guest_divide), 0, divide, 0},
                            {"ud2", HV_CODE(guest_ud2), 0, undefined, 0},
                            {"an error of vector registers", HV_CODE(guest_sse), 0, any, 0},
                            {"an error of x87", HV_CODE(guest_x87), 0, x87_error, 0},
                            {"single step", HV_CODE(guest_step), 0, debug, 0}};
    HV_CHECK(all_end_as_they_should(attempts));
}

HV_SELFTEST(ring3_addresses_of_the_kernels_tables_are_secret)
{
    if (!has_umip())
        HV_SKIP("no UMIP");
    Escape const attempts[]{{"sgdt", HV_CODE(guest_sgdt), 0, protection, 0},
                            {"sidt", HV_CODE(guest_sidt), 0, protection, 0}};
    HV_CHECK(all_end_as_they_should(attempts));
}

namespace {

struct Everywhere {
    std::atomic<unsigned> right{0};
};

// A guest on each pCPU at the same time.
void run_and_fault(void* argument)
{
    Escape const attempt{"write data", HV_CODE(guest_write), arch::address_of(data_start), page, write_forbidden};
    bool right{ends_as_it_should(attempt)};
    std::optional<arch::Ring3Outcome> const good{run(HV_CODE(guest_calls))};
    right = right && good && good->end == arch::Ring3End::hypercall && good->registers.rdi == 0;
    static_cast<Everywhere*>(argument)->right.fetch_add(right ? 1u : 0u);
}

} // namespace

HV_SELFTEST(ring3_runs_on_all_pcpus_at_once)
{
    Everywhere everywhere;
    arch::call_on_all(run_and_fault, &everywhere);
    HV_CHECK(everywhere.right.load() == pcpus_up());
}

} // namespace hv::test
