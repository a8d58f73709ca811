// Sabotage: the machine resets. QEMU then ends with status 0, which must not pass for success.
#include "boot/selftest.hpp"

#include <cstdint>

HV_SELFTEST(sabotage_triple_fault)
{
    struct [[gnu::packed]] {
        std::uint16_t limit{0};
        std::uint64_t base{0};
    } const no_table;
    asm volatile("lidt %0; ud2" ::"m"(no_table));
}
