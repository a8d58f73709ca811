// Guests that try everything: each is a VM of its own beside a neighbour that only works. Each ends as the table says,
// the kernel never faults, and the neighbour gets done what its share of the pCPU is good for.
//
// What can be tried without a scheduler (the kernel's memory, privileged instructions, ports, gates) is in
// ring3_test.cpp; here are hypercalls, faults and storms.
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/layout.hpp"
#include "boot/hypercall/abi.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/vm_machine.hpp"

#include <array>

// NOLINTBEGIN(readability-identifier-naming)
// Makes the calls of its State's page, from word 1 on: number, three arguments, the result that is right; word 0 is how
// many. Its exit code is the first that had another result, from 1, or 0. What is right for `any_time` is 0 or more.
HV_PROGRAM(hostile_calls,
           "movq (%rdi), %r14\n leaq 8(%rdi), %r13\n movabsq $0x7fffffffffffffff, %r12\n xorl %ebx, %ebx\n"
           "1: testq %r14, %r14\n jz 3f\n incl %ebx\n"
           "movq (%r13), %rax\n movq 8(%r13), %rdi\n movq 16(%r13), %rsi\n movq 24(%r13), %rdx\n syscall\n"
           "movq 32(%r13), %rcx\n addq $40, %r13\n decq %r14\n"
           "cmpq %r12, %rcx\n jne 2f\n testq %rax, %rax\n jns 1b\n jmp 4f\n"
           "2: cmpq %rcx, %rax\n je 1b\n jmp 4f\n"
           "3: xorl %ebx, %ebx\n"
           "4: movl %ebx, %edi\n movl $2, %eax\n syscall\n ud2");
// The calls of its State's page, for ever.
HV_PROGRAM(hostile_storm, "movq %rdi, %r15\n"
                          "1: movq (%r15), %r14\n leaq 8(%r15), %r13\n"
                          "2: movq (%r13), %rax\n movq 8(%r13), %rdi\n movq 16(%r13), %rsi\n movq 24(%r13), %rdx\n"
                          "syscall\n addq $40, %r13\n decq %r14\n jnz 2b\n jmp 1b");
// Counts, in word 0.
HV_PROGRAM(hostile_neighbour, "1: incq (%rdi)\n jmp 1b");
HV_PROGRAM(hostile_overflow, "1: pushq %rax\n jmp 1b");
HV_PROGRAM(hostile_recursion, "1: call 1b");
HV_PROGRAM(hostile_own_code, "movb $0x90, 1f(%rip)\n1: nop\n ud2");
HV_PROGRAM(hostile_run_state_page, "movl $0x90909090, 64(%rdi)\n addq $64, %rdi\n jmp *%rdi");
HV_PROGRAM(hostile_other_vcpu, "movq $1, 0x10000(%rdi)\n ud2");
// Its fault handler is at 1, on the same stack; word 0: what it does there.
HV_PROGRAM(hostile_nested, "leaq 1f(%rip), %rdi\n movq %rsp, %rsi\n movl $21, %eax\n syscall\n ud2\n1: movq 0, %rax");
HV_PROGRAM(hostile_handler_nowhere, "movl $0x1000, %edi\n movq %rsp, %rsi\n movl $21, %eax\n syscall\n ud2");
HV_PROGRAM(hostile_handler_no_stack, "leaq 1f(%rip), %rdi\n movl $0x1000, %esi\n movl $21, %eax\n syscall\n ud2\n"
                                     "1: pushq %rax");
// Goes back to the very instruction, for ever.
HV_PROGRAM(hostile_fault_storm, "leaq 1f(%rip), %rdi\n movq %rsp, %rsi\n movl $21, %eax\n syscall\n2: ud2\n"
                                "1: xorl %edi, %edi\n movl $22, %eax\n syscall");
// Handles a fault as it should: 6 at 2 is passed over, with all registers as they were. Then one that it cannot leave.
HV_PROGRAM(hostile_handled, "leaq 1f(%rip), %rdi\n movq %rsp, %rsi\n movl $21, %eax\n syscall\n"
                            "movl $0x77, %ebx\n movl $0x55, %edi\n stc\n2: ud2\n3: jnc 4f\n cmpl $0x55, %edi\n jne 4f\n"
                            "movl $22, %eax\n xorl %edi, %edi\n syscall\n cmpq $-5, %rax\n jne 4f\n"
                            "xorl %edi, %edi\n jmp 5f\n4: movl $1, %edi\n5: movl $2, %eax\n syscall\n ud2\n"
                            "1: cmpl $6, %edi\n jne 4b\n leaq 2b(%rip), %rax\n cmpq %rax, %rcx\n jne 4b\n"
                            "leaq 3b(%rip), %rdi\n movl $22, %eax\n syscall\n ud2");
// Jumps to the kernel, and wants its fault handler to go back there.
HV_PROGRAM(hostile_back_to_kernel, "leaq 1f(%rip), %rdi\n movq %rsp, %rsi\n movl $21, %eax\n syscall\n"
                                   "movabsq $0xffffffff80100000, %rax\n jmp *%rax\n"
                                   "1: xorl %edi, %edi\n movl $22, %eax\n syscall\n"
                                   "movabsq $0xffffffff80100000, %rdi\n movl $22, %eax\n syscall\n"
                                   "movabsq $0x8000000000000000, %rdi\n movl $22, %eax\n syscall\n"
                                   "movl $7, %edi\n movl $2, %eax\n syscall");
// vCPU 0 takes vCPU 1 down and up for ever; vCPU 1 likewise.
HV_PROGRAM(hostile_up_and_down, "movq %rdi, %r15\n shrq $16, %r15\n andl $1, %r15d\n xorl $1, %r15d\n"
                                "1: movl %r15d, %edi\n movl $16, %eax\n syscall\n movl %r15d, %edi\n movl $15, %eax\n"
                                "syscall\n jmp 1b");
// All selectors and flags that ring 3 may have.
HV_PROGRAM(hostile_selectors, "movl $0x1b, %eax\n movl %eax, %ds\n movl %eax, %es\n movl %eax, %fs\n movl %eax, %gs\n"
                              "pushq $0x244ed7\n popfq\n"
                              "1: xorl %eax, %eax\n syscall\n jmp 1b");
// NOLINTEND(readability-identifier-naming)

namespace hv::test {
namespace {

using boot::VmState;
using hypercall::Error;
using hypercall::Number;

constexpr CpuId pcpu{1};
constexpr std::uint64_t any_time = 0x7fff'ffff'ffff'ffff;
constexpr std::uint64_t state = guest::vcpus_at, stack = state + guest::stack_offset;
constexpr std::uint64_t unmapped = 0x1234'5000, code = guest::image_at, kernel = 0xffff'ffff'8010'0000;
constexpr std::uint64_t nowhere = std::uint64_t{1} << 63, last_page = 0x7fff'ffff'f000;
constexpr std::uint64_t huge = ~std::uint64_t{0};

struct Row {
    Number number;
    std::uint64_t a, b, c;
    std::uint64_t right;
};
constexpr std::uint64_t result(Error error) { return static_cast<std::uint64_t>(error); }

constexpr std::uint64_t bad_address = result(Error::bad_address), bad_argument = result(Error::bad_argument),
                        too_much = result(Error::too_much), not_permitted = result(Error::not_permitted),
                        try_again = result(Error::try_again), no_such_vcpu = result(Error::no_such_vcpu);

// A guest that makes calls and has to get these results.
struct Caller {
    std::string_view name;
    std::array<Row, 8> rows;
    std::array<std::uint64_t, 5> request{}; // at word 64 of its State's page
};
constexpr std::size_t request_word = 64;
constexpr std::uint64_t request = state + request_word * 8;

constexpr std::uint64_t rooms(std::uint64_t nodes, std::uint64_t vcpus) { return nodes | vcpus << 32; }

constexpr std::string_view flood{"a flood of text"};

constexpr Caller callers[]{
    {"no such call",
     {Row{Number{23}, 0, 0, 0, result(Error::unknown_call)},
      {Number{huge}, 0, 0, 0, result(Error::unknown_call)},
      {Number{std::uint64_t{1} << 32}, 0, 0, 0, result(Error::unknown_call)}}},
    {"text from the kernel", {Row{Number::console_write, kernel, 16, 0, bad_address}}},
    {"text from the direct map", {Row{Number::console_write, arch::direct_map_base, 16, 0, bad_address}}},
    {"text from nowhere", {Row{Number::console_write, nowhere, 16, 0, bad_address}}},
    {"text from null", {Row{Number::console_write, 0, 1, 0, bad_address}}},
    {"text that wraps round",
     {Row{Number::console_write, huge - 7, 64, 0, bad_address},
      {Number::console_write, state, huge, 0, too_much},
      {Number::console_write, huge, huge, 0, too_much}}},
    {"text over the end of memory",
     {Row{Number::console_write, last_page, 8192, 0, too_much},
      {Number::console_write, last_page + 4000, 200, 0, bad_address}}},
    {"text into a gap", {Row{Number::console_write, state + 4090, 12, 0, bad_address}}},
    {"too much text", {Row{Number::console_write, state, 257, 0, too_much}}},
    {flood,
     {Row{Number::console_write, code, 256, 0, 0},
      {Number::console_write, code, 256, 0, 0},
      {Number::console_write, code, 256, 0, 0},
      {Number::console_write, code, 256, 0, try_again}}},
    {"run state into the kernel", {Row{Number::run_state, 0, kernel, 0, bad_address}}},
    {"run state into code", {Row{Number::run_state, 0, code, 0, bad_address}}},
    {"run state across a gap",
     {Row{Number::run_state, 0, state + 4080, 0, bad_address}, {Number::run_state, 0, stack - 8, 0, bad_address}}},
    {"run state of others",
     {Row{Number::run_state, 1, stack, 0, no_such_vcpu},
      {Number::run_state, std::uint64_t{1} << 32, stack, 0, no_such_vcpu},
      {Number::run_state, huge, stack, 0, no_such_vcpu},
      {Number::run_state, 0, stack, 0, 0}}},
    {"touching the kernel",
     {Row{Number::touch, kernel, 4096, 0, bad_address}, {Number::touch, arch::direct_map_base, 4096, 1, bad_address}}},
    {"touching code to write", {Row{Number::touch, code, 1, 1, bad_address}, {Number::touch, code, 1, 0, any_time}}},
    {"touching everything",
     {Row{Number::touch, 0, huge, 1, too_much},
      {Number::touch, state, huge - state, 0, too_much},
      {Number::touch, state, 2 << 20, 0, bad_address},
      {Number::touch, state, 1, 2, bad_argument}}},
    {"phases beyond time",
     {Row{Number::compute, huge, 0, 0, bad_argument},
      {Number::compute, nowhere, 0, 0, bad_argument},
      {Number::compute, hypercall::forever + 1, 0, 0, bad_argument},
      {Number::compute_until, huge, 0, 0, bad_argument},
      {Number::compute, 0, 0, 0, any_time},
      {Number::compute_until, 0, 0, 0, any_time}}},
    {"waits beyond time",
     {Row{Number::poll, huge, 0, 0, bad_argument},
      {Number::poll, nowhere, 0, 0, bad_argument},
      {Number::poll, 0, 0, 0, any_time},
      {Number::poll, 1, 0, 0, any_time}}},
    {"timers beyond time",
     {Row{Number::set_timer, huge, 0, 0, bad_argument},
      {Number::set_timer, hypercall::max_time + 1, 0, 0, bad_argument},
      {Number::set_timer, hypercall::max_time, 0, 0, 0},
      {Number::set_timer, 0, 0, 0, 0}}},
    {"events for others",
     {Row{Number::notify, 1, 0, 0, no_such_vcpu},
      {Number::notify, huge, 0, 0, no_such_vcpu},
      {Number::notify, 0x10000, 0, 0, no_such_vcpu},
      {Number::notify_any, 0, 0, 0, not_permitted},
      {Number::notify, 0, 0, 0, any_time},
      {Number::take_event, 0, 0, 0, 1},
      {Number::take_event, 0, 0, 0, 0}}},
    {"others' vCPUs",
     {Row{Number::vcpu_down, 1, 0, 0, no_such_vcpu},
      {Number::vcpu_up, huge, 0, 0, no_such_vcpu},
      {Number::vcpu_up, 0, 0, 0, 0}}},
    {"a recording that it has not", {Row{Number::next_steps, state, 1, 0, not_permitted}}},
    {"bases in the kernel",
     {Row{Number::set_segment_base, 1, kernel, 0, bad_address},
      {Number::set_segment_base, 0, nowhere, 0, bad_address},
      {Number::set_segment_base, 2, 0, 0, bad_argument},
      {Number::set_segment_base, huge, 0, 0, bad_argument}}},
    {"fault handlers in the kernel",
     {Row{Number::set_fault_handler, kernel, state, 0, bad_address},
      {Number::set_fault_handler, code, kernel, 0, bad_address},
      {Number::set_fault_handler, std::uint64_t{1} << 47, state, 0, bad_address}}},
    {"back from no fault",
     {Row{Number::fault_return, 0, 0, 0, not_permitted}, {Number::fault_return, kernel, 0, 0, bad_address}}},
    {"a request that is not there",
     {Row{Number::numa_info, unmapped, 0, 0, bad_address},
      {Number::numa_info, kernel, 0, 0, bad_address},
      {Number::numa_info, code, 0, 0, bad_address},
      {Number::numa_info, state + 4080, 0, 0, bad_address},
      {Number::numa_info, huge - 8, 0, 0, bad_address}}},
    {"tables over the request",
     {Row{Number::numa_info, request, 0, 0, bad_address}},
     {request + 8, stack, stack + 64, rooms(1, 1), 0}},
    {"tables over each other",
     {Row{Number::numa_info, request, 0, 0, bad_address}},
     {stack, stack + 7, stack + 64, rooms(1, 1), 0}},
    {"tables in the kernel",
     {Row{Number::numa_info, request, 0, 0, bad_address}},
     {stack, stack + 64, kernel, rooms(1, 1), 0}},
    {"tables of many nodes",
     {Row{Number::numa_info, request, 0, 0, too_much}},
     {stack, stack + 64, stack + 128, rooms(0xffff'ffff, 1), 0}},
    {"tables of many vCPUs",
     {Row{Number::numa_info, request, 0, 0, too_much}},
     {stack, stack + 64, stack + 128, rooms(1, 0xffff'ffff), 0}},
    {"tables that wrap round",
     {Row{Number::numa_info, request, 0, 0, bad_address}},
     {huge - 7, stack + 64, stack + 128, rooms(64, 1), 0}},
    {"tables as they should be",
     {Row{Number::numa_info, request, 0, 0, 0}},
     {stack, stack + 64, stack + 128, rooms(1, 1), 0}},
};

struct Attempt {
    std::string_view name;
    Program program;
    VmState end;
    std::uint64_t code; // the exit code, or the exception
};
constexpr Attempt attempts[]{
    {"stack overflow", HV_CODE(hostile_overflow), VmState::crashed, 14},
    {"endless recursion", HV_CODE(hostile_recursion), VmState::crashed, 14},
    {"writes its own code", HV_CODE(hostile_own_code), VmState::crashed, 14},
    {"executes its state", HV_CODE(hostile_run_state_page), VmState::crashed, 14},
    {"writes a vCPU's state that is not there", HV_CODE(hostile_other_vcpu), VmState::crashed, 14},
    {"faults in its fault handler", HV_CODE(hostile_nested), VmState::crashed, 14},
    {"has a fault handler nowhere", HV_CODE(hostile_handler_nowhere), VmState::crashed, 14},
    {"has a fault handler without stack", HV_CODE(hostile_handler_no_stack), VmState::crashed, 14},
    {"handles a fault", HV_CODE(hostile_handled), VmState::shut_down, 0},
    {"returns from a fault to the kernel", HV_CODE(hostile_back_to_kernel), VmState::shut_down, 7},
};

// Real threads of a busy host take their time.
constexpr Duration patience{Duration::from_ms(20'000)};

// A row of the table, or of the attempts, that did not end as it should.
bool ends(boot::Vm& vm, VmState how, std::uint64_t number)
{
    bool const ended{wait_until([&] { return vm.state() != VmState::runs; }, patience)};
    std::uint64_t const got{vm.state() == VmState::crashed ? vm.fault() : vm.exit_code()};
    if (ended && vm.state() == how && got == number)
        return true;
    arch::say("# {}: ended {}, state {}, number {}", vm.name(), ended, static_cast<unsigned>(vm.state()), got);
    return false;
}

std::array<std::uint64_t, request_word + 5> words_of(Caller const& caller)
{
    std::array<std::uint64_t, request_word + 5> words{};
    std::size_t at{1};
    for (Row const& row : caller.rows)
        if (row.number != Number::null) {
            for (std::uint64_t const word : {static_cast<std::uint64_t>(row.number), row.a, row.b, row.c, row.right})
                words[at++] = word;
            ++words[0];
        }
    for (std::size_t i = 0; i < caller.request.size(); ++i)
        words[request_word + i] = caller.request[i];
    return words;
}

} // namespace

HV_SELFTEST(hostile_hypercalls_are_refused)
{
    if (!is_for_vm_tests())
        HV_SKIP("two to eight pCPUs");
    VmTestMachine vms{1};
    unsigned right{0};
    for (Caller const& caller : callers) {
        if (caller.name == flood && boot::kernel().options.khz != 1'000'000) {
            ++right; // Between two lines of text so much time may pass that the budget is full again.
            continue;
        }
        auto const words = words_of(caller);
        boot::Vm* const vm{vms.run(caller.name, HV_CODE(hostile_calls), words, pcpu)};
        HV_CHECK(vm != nullptr);
        right += ends(*vm, VmState::shut_down, 0) ? 1u : 0u;
        vms.destroy(*vm);
    }
    HV_CHECK(right == std::size(callers));
}

HV_SELFTEST(hostile_faults_end_the_vm)
{
    if (!is_for_vm_tests())
        HV_SKIP("two to eight pCPUs");
    VmTestMachine vms{1};
    unsigned right{0};
    for (Attempt const& attempt : attempts) {
        boot::Vm* const vm{vms.run(attempt.name, attempt.program, {}, pcpu)};
        HV_CHECK(vm != nullptr);
        right += ends(*vm, attempt.end, attempt.code) ? 1u : 0u;
        vms.destroy(*vm);
    }
    HV_CHECK(right == std::size(attempts));
}

namespace {

struct Storm {
    std::string_view name;
    Program program;
    std::array<Row, 2> rows;
    std::uint32_t vcpus;
};
constexpr Storm storms[]{
    {"null hypercalls", HV_CODE(hostile_storm), {Row{Number::null, 0, 0, 0, 1}}, 1},
    {"console", HV_CODE(hostile_storm), {Row{Number::console_write, state, 256, 0, 1}}, 1},
    {"timers in the past", HV_CODE(hostile_storm), {Row{Number::set_timer, 1, 0, 0, 1}}, 1},
    {"timers and waits", HV_CODE(hostile_storm), {Row{Number::poll, 1, 0, 0, 1}}, 1},
    {"events", HV_CODE(hostile_storm), {Row{Number::notify, 0, 0, 0, 1}, {Number::take_event, 0, 0, 0, 1}}, 1},
    {"touches", HV_CODE(hostile_storm), {Row{Number::touch, code, 4096, 0, 1}}, 1},
    {"short phases", HV_CODE(hostile_storm), {Row{Number::compute, 1, 0, 0, 1}}, 1},
    {"faults", HV_CODE(hostile_fault_storm), {}, 1},
    {"vCPUs up and down", HV_CODE(hostile_up_and_down), {}, 2},
    {"selectors and flags", HV_CODE(hostile_selectors), {}, 1},
};

struct Shares {
    std::uint64_t work{0};         // of the neighbour
    Duration neighbour{}, storm{}; // run times
};

// Both on one pCPU for a while. Nothing: no memory.
std::optional<Shares> side_by_side(VmTestMachine& vms, Storm const& storm)
{
    constexpr Duration warm_up{Duration::from_ms(3)}, window{Duration::from_ms(32)};
    std::array<std::uint64_t, 11> words{};
    for (Row const& row : storm.rows)
        if (row.right == 1) {
            std::size_t const at{1 + words[0]++ * 5};
            words[at] = static_cast<std::uint64_t>(row.number);
            words[at + 1] = row.a;
            words[at + 2] = row.b;
        }
    boot::Vm* const neighbour{vms.run("neighbour", HV_CODE(hostile_neighbour), {}, pcpu)};
    boot::Vm* const other{vms.run(storm.name, storm.program, words, pcpu, storm.vcpus)};
    if (neighbour == nullptr || other == nullptr)
        return std::nullopt;
    auto const now = [&] { return Shares{word_of(*neighbour, 0), run_time(*neighbour), run_time(*other)}; };
    static_cast<void>(wait_until([] { return false; }, warm_up));
    Shares const before{now()};
    static_cast<void>(wait_until([] { return false; }, window));
    Shares const after{now()};
    bool const lives{neighbour->state() == VmState::runs && other->state() == VmState::runs};
    vms.destroy(*other);
    vms.destroy(*neighbour);
    if (!lives)
        return Shares{};
    return Shares{after.work - before.work, after.neighbour - before.neighbour, after.storm - before.storm};
}

} // namespace

// What the neighbour gets done in a second of its own run time is what it gets done beside one that only counts, within
// 1 %; and the storm has no more of the pCPU than is fair, but for the slice that lasts.
HV_SELFTEST(hostile_storms_cost_neighbours_nothing)
{
    if (!is_for_vm_tests() || boot::kernel().options.khz != 1'000'000)
        HV_SKIP("only where instructions are counted; two to eight pCPUs");
    if (!is_asked_for("hostile"))
        HV_SKIP("takes seconds: only when asked for by name");
    VmTestMachine vms{1, "numacredit"}; // credit has its faults on purpose: who sleeps and wakes a lot gets more
    Storm const quiet{"one that counts", HV_CODE(hostile_neighbour), {}, 1};
    std::optional<Shares> const fair{side_by_side(vms, quiet)};
    HV_CHECK(fair && fair->neighbour > Duration{});
    auto const rate = [](Shares const& s) { return s.work * 1'000'000 / static_cast<std::uint64_t>(s.neighbour.ns()); };
    std::uint64_t const wanted{rate(*fair)};
    unsigned right{0};
    for (Storm const& storm : storms) {
        std::optional<Shares> const shares{side_by_side(vms, storm)};
        HV_CHECK(shares && shares->neighbour > Duration{});
        std::uint64_t const found{rate(*shares)};
        bool const works{found * 100 >= wanted * 99};
        bool const is_fair{shares->storm <= shares->neighbour + Duration::from_ms(3)};
        arch::say("# {}: the neighbour's work {} per ms of {} wanted; it ran {} us, the storm {} us", storm.name, found,
                  wanted, shares->neighbour.ns() / 1000, shares->storm.ns() / 1000);
        right += works && is_fair ? 1u : 0u;
    }
    HV_CHECK(right == std::size(storms));
}

} // namespace hv::test
