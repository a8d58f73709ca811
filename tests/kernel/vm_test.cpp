// VMs in ring 3 on a scheduler: what a switch between two of them costs, that nothing of one is left for the other, and
// that they come and go without a trace.
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/features.hpp"
#include "arch/x86_64/frames.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/cost.hpp"
#include "tests/kernel/vm_machine.hpp"

#include <algorithm>
#include <array>

// NOLINTBEGIN(readability-identifier-naming)
// On a page that two VMs share (rsi of the State): word 0, the time of the last round; 1, who made it; 2, switches so
// far; from 3 on, what each took: from the last instruction of the one to the first of the other.
HV_PROGRAM(guest_stamps, "movq (%rdi), %r8\n movq 8(%rdi), %r9\n"
                         "1: rdtsc\n shlq $32, %rdx\n orq %rdx, %rax\n movq (%r8), %rbx\n movq 8(%r8), %rcx\n"
                         "rdtsc\n shlq $32, %rdx\n orq %rdx, %rax\n"
                         "movq %rax, (%r8)\n movq %r9, 8(%r8)\n cmpq %r9, %rcx\n je 1b\n"
                         "testq %rcx, %rcx\n jz 1b\n"
                         "movq 16(%r8), %rcx\n cmpq $32, %rcx\n jae 1b\n subq %rbx, %rax\n movq %rax, 24(%r8,%rcx,8)\n"
                         "incq 16(%r8)\n jmp 1b");
// Word 1: what 16 null hypercalls took, in the end; it is also the exit code.
HV_PROGRAM(guest_counts_null, "movl $16, %ebx\n rdtsc\n movl %eax, %r12d\n"
                              "1: xorl %eax, %eax\n syscall\n decl %ebx\n jnz 1b\n"
                              "rdtsc\n subl %r12d, %eax\n movl %eax, %edi\n movl $2, %eax\n syscall\n ud2");
// Word 0: a number of its own. Fills vector registers, x87 and FS with it and looks, until something else is there.
HV_PROGRAM(guest_vectors,
           "movq (%rdi), %r8\n movl $20, %eax\n movq %rdi, %r15\n xorl %edi, %edi\n movq %r8, %rsi\n syscall\n"
           "leaq 8(%r15), %r14\n movl $20, %eax\n movl $1, %edi\n movq %r14, %rsi\n syscall\n"
           "movq %r8, %gs:0\n movq %r8, %xmm0\n movq %r8, %xmm15\n fildq (%r15)\n"
           "1: pause\n incq 16(%r15)\n"
           "movq %xmm0, %rax\n cmpq %r8, %rax\n jne 2f\n movq %xmm15, %rax\n cmpq %r8, %rax\n jne 2f\n"
           "fistpq 24(%r15)\n fildq 24(%r15)\n cmpq %r8, 24(%r15)\n jne 2f\n cmpq %r8, %gs:0\n jne 2f\n jmp 1b\n"
           "2: movl $1, %edi\n movl $2, %eax\n syscall\n ud2");
// NOLINTEND(readability-identifier-naming)

namespace hv::test {
namespace {

constexpr CpuId elsewhere{1};
constexpr std::uint64_t shared_at = 0x5000'0000;

// A page in both VMs; nothing of it is charged to either.
class SharedPage {
public:
    SharedPage() : page_{take()} {}
    ~SharedPage()
    {
        arch::IrqSave const irqs;
        arch::release_pages(page_, 0);
    }
    SharedPage(SharedPage const&) = delete;
    SharedPage& operator=(SharedPage const&) = delete;

    [[nodiscard]] std::uint64_t volatile* words() const { return arch::direct_map<std::uint64_t volatile>(page_); }
    void map(boot::Vm& vm) const
    {
        arch::IrqSave const irqs;
        vm.account.set_max_pages(vm.account.total() + 1); // for a table
        bool const mapped =
            vm.space.space()
                .map(arch::this_cpu(), {{VirtAddr{shared_at}, mm::page_size}, page_, Access::read_write})
                .ok();
        HV_ASSERT(mapped);
    }
    void unmap(boot::Vm& vm) const
    {
        arch::IrqSave const irqs;
        mm::AddressSpace::Change change{vm.space.space(), arch::this_cpu(), {}};
        HV_ASSERT(change.unmap({VirtAddr{shared_at}, mm::page_size}).ok());
    }

private:
    static PhysAddr take()
    {
        arch::IrqSave const irqs;
        return *arch::allocate_zeroed_pages(NodeId{0}, 0);
    }

    PhysAddr const page_;
};

} // namespace

// From the last instruction of one VM, through timer interrupt, scheduler with its trace, and switch, to the first of
// the other.
HV_SELFTEST(vm_switch_between_two_is_short)
{
    if (!is_for_vm_tests() || !counts_instructions() || !arch::is_qemu_tcg() || boot::kernel().options.chop_ns != 0)
        HV_SKIP("only where instructions are counted, and nobody else runs; two to eight pCPUs");
    if (!is_asked_for("vm_switch"))
        HV_SKIP("takes a second: only when asked for by name");
    constexpr std::uint64_t most = 1750;                    // what it is today, and some; wanted are 900
    constexpr std::size_t wanted = 9, typical = wanted / 4; // at the end of some slices other timers are due, too
    SharedPage const shared;
    VmTestMachine vms{1};
    std::array<std::uint64_t, 2> const one{shared_at, 1}, two{shared_at, 2};
    // Born down: mapped before they start to run, since this task holds pCPU 0 and their timers are its.
    arch::irqs_disable();
    boot::Vm* const a{vms.run("a", HV_CODE(guest_stamps), one, elsewhere)};
    boot::Vm* const b{vms.run("b", HV_CODE(guest_stamps), two, elsewhere)};
    HV_CHECK(a != nullptr && b != nullptr);
    shared.map(*a);
    shared.map(*b);
    arch::irqs_enable();
    HV_CHECK(wait_until([&] { return shared.words()[2] >= wanted; }, Duration::from_ms(400)));
    std::array<std::uint64_t, wanted> took{};
    for (std::size_t i = 0; i < wanted; ++i)
        took[i] = shared.words()[3 + i];
    for (boot::Vm* const vm : {a, b})
        HV_CHECK(boot::pause_vm(*vms, vm->domain.id).ok());
    HV_CHECK(wait_until([&] { return run_time(*a) > Duration{}; }));
    shared.unmap(*a);
    shared.unmap(*b);
    std::ranges::sort(took);
    arch::say("# ring 3: instructions of a switch between two VMs: {} to {}, mostly {}", took.front(), took.back(),
              took[typical]);
    if constexpr (!mm::is_debug)
        HV_CHECK(took[typical] <= most);
}

HV_SELFTEST(vm_null_hypercall_is_short)
{
    if (!is_for_vm_tests() || !counts_instructions() || !arch::is_qemu_tcg() || boot::kernel().options.chop_ns != 0)
        HV_SKIP("only where instructions are counted, and nobody else runs; two to eight pCPUs");
    constexpr std::uint64_t most = 120, calls = 16, loop = 4;
    VmTestMachine vms{30};
    boot::Vm* const vm{vms.run("caller", HV_CODE(guest_counts_null), {}, elsewhere)};
    HV_CHECK(vm != nullptr);
    HV_CHECK(wait_until([&] { return vm->state() == boot::VmState::shut_down; }));
    std::uint64_t const each{vm->exit_code() / calls - loop + 1};
    arch::say("# ring 3: instructions of a VM's null hypercall {}", each);
    if constexpr (!mm::is_debug)
        HV_CHECK(each <= most);
}

// Two VMs on one pCPU, which the timer takes from one to the other in the middle of everything.
HV_SELFTEST(vm_registers_of_one_are_not_anothers)
{
    if (!is_for_vm_tests())
        HV_SKIP("two to eight pCPUs");
    VmTestMachine vms{1};
    std::array<std::uint64_t, 1> const one{0x1234'5678'9abc}, two{0x4321'8765'1111};
    boot::Vm* const a{vms.run("a", HV_CODE(guest_vectors), one, elsewhere)};
    boot::Vm* const b{vms.run("b", HV_CODE(guest_vectors), two, elsewhere)};
    HV_CHECK(a != nullptr && b != nullptr);
    constexpr Duration patience{Duration::from_ms(20'000)}; // with real threads of a busy host
    HV_CHECK(wait_until([&] { return word_of(*a, 2) > 0 && word_of(*b, 2) > 0; }, patience));
    static_cast<void>(wait_until([] { return false; }, Duration::from_ms(2)));
    HV_CHECK(a->state() == boot::VmState::runs && b->state() == boot::VmState::runs);
}

// Whatever it was doing: all its pages come back, to the page, and zeroed.
HV_SELFTEST(vm_that_is_destroyed_leaves_no_page_behind)
{
    if (!is_for_vm_tests())
        HV_SKIP("two to eight pCPUs");
    VmTestMachine vms{1};
    std::array<std::uint64_t, 1> const number{0x1111};
    auto const come_and_go = [&] {
        boot::Vm* const vm{vms.run("brief", HV_CODE(guest_vectors), number, elsewhere)};
        if (vm == nullptr)
            return false;
        bool const ran{wait_until([&] { return word_of(*vm, 2) > 0; }, Duration::from_ms(20'000))};
        vms.destroy(*vm);
        return ran;
    };
    HV_CHECK(come_and_go()); // Stacks and small memory keep what they once had.
    for (unsigned i = 0; i < 3; ++i) {
        std::array<std::uint64_t, 64> before{};
        for (NodeId const node : pages().usable())
            before[node.value()] = free_pages(node);
        HV_CHECK(come_and_go());
        for (NodeId const node : pages().usable())
            HV_CHECK(free_pages(node) == before[node.value()]);
    }
}

} // namespace hv::test
