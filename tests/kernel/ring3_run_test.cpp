// Ring 3: guests that do what they may keep what is theirs, whatever interrupts them, and leave nothing behind.
#include "tests/kernel/ring3_programs.hpp"

#include "arch/x86_64/call.hpp"
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/features.hpp"
#include "arch/x86_64/watchdog.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

#include <atomic>

// NOLINTBEGIN(readability-identifier-naming)
// Fills all registers, flags included, and does hypercalls (rdi is odd) or nothing rdi / 2 times; all must still be
// there.
HV_PROGRAM(guest_keeps, "movq %rdi, %rbp\n movq %rdi, %r13\n"
                        "movq $0x1111, %rbx\n movq $0x2222, %rdx\n movq $0x3333, %rsi\n movq $0x4444, %r8\n"
                        "movq $0x5555, %r9\n movq $0x6666, %r10\n movq $0x7777, %r12\n movq $0x8888, %r14\n"
                        "movq %rdi, %r15\n shrq $1, %r15\n"
                        "1: pushfq\n orl $0x40401, (%rsp)\n popfq\n" // AC, DF, CF
                        "movq %rsp, %rdi\n"
                        "testq $1, %rbp\n jz 4f\n xorl %eax, %eax\n syscall\n jmp 5f\n"
                        "4: movq $0x9999, %rax\n movq $0xAAAA, %rcx\n movq $0xBBBB, %r11\n pause\n"
                        "cmpq $0x9999, %rax\n jne 2f\n cmpq $0xAAAA, %rcx\n jne 2f\n cmpq $0xBBBB, %r11\n jne 2f\n"
                        "5: pushfq\n popq %rax\n andl $0x40400, %eax\n cmpl $0x40400, %eax\n jne 2f\n"
                        "cmpq %rsp, %rdi\n jne 2f\n cmpq %rbp, %r13\n jne 2f\n"
                        "cmpq $0x1111, %rbx\n jne 2f\n cmpq $0x2222, %rdx\n jne 2f\n cmpq $0x3333, %rsi\n jne 2f\n"
                        "cmpq $0x4444, %r8\n jne 2f\n cmpq $0x5555, %r9\n jne 2f\n cmpq $0x6666, %r10\n jne 2f\n"
                        "cmpq $0x7777, %r12\n jne 2f\n cmpq $0x8888, %r14\n jne 2f\n"
                        "decq %r15\n jnz 1b\n"
                        "xorl %edi, %edi\n jmp 3f\n2: movl $1, %edi\n3: movl $2, %eax\n syscall\n ud2");
// What a null hypercall costs, by the time-stamp counter.
HV_PROGRAM(guest_price, "movl $4, %ebx\n"
                        "1: rdtsc\n movl %eax, %r12d\n xorl %eax, %eax\n syscall\n rdtsc\n subl %r12d, %eax\n"
                        "movl %eax, %edi\n decl %ebx\n jnz 1b\n movl $2, %eax\n syscall\n ud2");
// NOLINTEND(readability-identifier-naming)

namespace hv::test {
namespace {

constexpr TimerId disturbance{3};

struct Disturbed {
    std::atomic<unsigned> times{0};
    std::atomic<unsigned> with_ac{0}; // SMAP was off
};

// Every 50 us, in the middle of what the guest does.
void disturb(void* self, CpuId cpu, TimerId timer, Instant now)
{
    if (timer != disturbance)
        return;
    std::uint64_t flags;
    asm volatile("pushfq; popq %0" : "=r"(flags));
    auto& disturbed = *static_cast<Disturbed*>(self);
    disturbed.with_ac.fetch_add((flags & 0x40000) != 0 ? 1u : 0u);
    disturbed.times.fetch_add(1);
    arch::timer_arm(cpu, disturbance, now + Duration::from_us(50));
}

} // namespace

HV_SELFTEST(ring3_registers_and_flags_survive_interrupts_and_hypercalls)
{
    for (std::uint64_t const with_hypercalls : {0u, 1u}) {
        Disturbed disturbed;
        arch::UpCalls const calls{.self = &disturbed, .timer = disturb};
        UpCallsScope const scope{calls};
        arch::timer_arm(arch::this_cpu(), disturbance, arch::clock_now() + Duration::from_us(50));
        // With real threads a run may take less than four times 50 us.
        for (unsigned runs = 0; runs < 200 && disturbed.times.load() <= 3; ++runs) {
            std::optional<arch::Ring3Outcome> const outcome{run(HV_CODE(guest_keeps), 2 * 20'000 + with_hypercalls)};
            HV_CHECK(outcome && outcome->end == arch::Ring3End::hypercall);
            HV_CHECK(outcome->registers.rdi == 0);
        }
        arch::timer_disarm(arch::this_cpu(), disturbance);
        HV_CHECK(disturbed.times.load() > 3);
        HV_CHECK(disturbed.with_ac.load() == 0);
    }
}

namespace {

struct Struck {
    static constexpr unsigned most = 16; // of a large machine's pCPUs: QEMU takes its time for each guest

    CpuId striker;
    unsigned const pcpus{pcpus_up() < most ? pcpus_up() : most};
    unsigned const guests{striker.value() < pcpus ? pcpus - 1 : pcpus};
    std::atomic<unsigned> running{0};
    std::atomic<unsigned> right{0};
};

// One pCPU sends the others an NMI each while they are in ring 3, more or less.
void strike_or_run(void* argument)
{
    Struck& struck{*static_cast<Struck*>(argument)};
    CpuId const self{arch::this_cpu()};
    if (self.value() >= struck.pcpus && self != struck.striker)
        return;
    if (self != struck.striker) {
        struck.running.fetch_add(1);
        std::optional<arch::Ring3Outcome> const outcome{run(HV_CODE(guest_keeps), 2 * 200)};
        bool const right = outcome && outcome->end == arch::Ring3End::hypercall && outcome->registers.rdi == 0;
        struck.right.fetch_add(right ? 1u : 0u);
        return;
    }
    while (struck.running.load() != struck.guests)
        arch::relax();
    for (unsigned i = 0; i < 20; ++i) // Let them come to their guests.
        arch::relax();
    for (CpuId::Rep n = 0; n < struck.pcpus; ++n)
        if (CpuId{n} != self)
            arch::watchdog_suspect(CpuId{n});
}

} // namespace

// Which has to find the pCPU's block though GS is the guest's.
HV_SELFTEST(ring3_nmi_is_served_and_the_guest_goes_on)
{
    if (boot::kernel().options.watchdog_ms == 0 || pcpus_up() == 1)
        HV_SKIP("nobody would take the NMI");
    Struck struck{.striker = arch::this_cpu()};
    arch::call_on_all(strike_or_run, &struck);
    // Some found a pCPU on its way, with interrupts off: that is not to be held against it.
    arch::call_on_all([](void*) { arch::this_percpu().watched.strikes = 0; }, nullptr);
    HV_CHECK(struck.right.load() == struck.guests);
}

HV_SELFTEST(ring3_null_hypercall_is_short)
{
    if (!arch::is_qemu_tcg() || boot::kernel().options.khz != 1'000'000 || boot::kernel().options.chop_ns != 0)
        HV_SKIP("only where instructions are counted, and nobody else runs");
    constexpr std::uint64_t most = 120;
    std::optional<arch::Ring3Outcome> const outcome{run(HV_CODE(guest_price))};
    HV_CHECK(outcome && outcome->end == arch::Ring3End::hypercall);
    arch::say("# ring 3: instructions of a null hypercall {}", outcome->registers.rdi);
    HV_CHECK(outcome->registers.rdi > 0 && outcome->registers.rdi <= most);
}

HV_SELFTEST(ring3_guests_leave_no_page_behind)
{
    NodeId const node{arch::this_percpu().node};
    std::uint64_t const before{free_pages(node)};
    HV_CHECK(run(HV_CODE(guest_price)).has_value());
    HV_CHECK(free_pages(node) == before);
    // Each allocation of building one fails once.
    unsigned refused{0};
    for (unsigned n = 1; n <= 16; ++n) {
        boot::kernel().pages->injection().fail_nth(n);
        refused += run(HV_CODE(guest_price)) ? 0u : 1u;
        boot::kernel().pages->injection().turn_off();
        HV_CHECK(free_pages(node) == before);
    }
    HV_CHECK(refused > 0);
}

} // namespace hv::test
