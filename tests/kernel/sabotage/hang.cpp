// Sabotage: kernels that fail in ways that a test driver must notice. Linked into build/sabotage.elf only; each is a
// self-test that is chosen by name.
#include "arch/x86_64/instructions.hpp"
#include "boot/selftest.hpp"

// The driver's time limit has to end this one.
HV_SELFTEST(sabotage_hang)
{
    hv::arch::irqs_disable();
    for (;;)
        asm volatile("pause" ::: "memory");
}
