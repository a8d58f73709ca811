#include "arch/x86_64/features.hpp"

#include "arch/x86_64/console.hpp"
#include "arch/x86_64/instructions.hpp"

#include <string_view>

namespace hv::arch {
namespace {

enum class Source : std::uint8_t { leaf1_ecx, leaf1_edx, extended_ecx, extended_edx };

struct Needed {
    Source source;
    unsigned bit;
    std::string_view name;
    std::string_view qemu_flag;
};

// The kernel is compiled for x86-64-v2, so the compiler may use any of these.
constexpr Needed needed[]{
    {Source::leaf1_edx, 4, "time-stamp counter", "+tsc"},
    {Source::leaf1_edx, 5, "model-specific registers", "+msr"},
    {Source::leaf1_edx, 9, "local APIC", "+apic"},
    {Source::leaf1_ecx, 0, "SSE3", "+pni"},
    {Source::leaf1_ecx, 9, "SSSE3", "+ssse3"},
    {Source::leaf1_ecx, 13, "CMPXCHG16B", "+cx16"},
    {Source::leaf1_ecx, 19, "SSE4.1", "+sse4.1"},
    {Source::leaf1_ecx, 20, "SSE4.2", "+sse4.2"},
    {Source::leaf1_ecx, 23, "POPCNT", "+popcnt"},
    {Source::extended_ecx, 0, "LAHF in long mode", "+lahf_lm"},
    {Source::extended_edx, 20, "the no-execute bit", "+nx"},
    {Source::extended_edx, 27, "RDTSCP", "+rdtscp"}, // in v3 only, but as old as v2
    {Source::extended_edx, 29, "long mode", "+lm"},
};

constexpr std::uint64_t cr0_monitor_coprocessor = 1u << 1;
constexpr std::uint64_t cr0_emulation = 1u << 2;
constexpr std::uint64_t cr0_task_switched = 1u << 3;
constexpr std::uint64_t cr0_numeric_error = 1u << 5;
constexpr std::uint64_t cr0_write_protect = 1u << 16;
constexpr std::uint64_t cr4_vector_state = 3u << 9; // FXSAVE keeps it; its errors are exceptions
constexpr std::uint64_t cr4_umip = 1u << 11;
constexpr std::uint64_t cr4_smep = 1u << 20;
constexpr std::uint64_t cr4_smap = 1u << 21;
constexpr std::uint32_t extended_features = 0x80000001;
constexpr std::uint32_t hypervisor_bit = 1u << 31;

std::uint32_t word(Source source)
{
    switch (source) {
    case Source::leaf1_ecx:
        return cpuid(1).ecx;
    case Source::leaf1_edx:
        return cpuid(1).edx;
    case Source::extended_ecx:
        return cpuid(extended_features).ecx;
    case Source::extended_edx:
        return cpuid(extended_features).edx;
    }
    return 0;
}

bool has_bit(std::uint32_t value, unsigned bit) { return (value >> bit & 1) != 0; }

} // namespace

bool features_suffice() noexcept
{
    bool all{true};
    for (Needed const& feature : needed) {
        if (has_bit(word(feature.source), feature.bit))
            continue;
        say("error: processor: {} is missing; use an x86-64-v2 machine (qemu: add {} to -cpu)", feature.name,
            feature.qemu_flag);
        all = false;
    }
    return all;
}

void features_enable() noexcept
{
    write_msr(msr_efer, read_msr(msr_efer) | efer_no_execute);
    // Vector registers are ring 3's: the kernel is compiled without, and exchanges them with the tasks
    // (ring3_state.hpp). XSAVE stays off, so that there is nothing beyond what FXSAVE keeps.
    write_cr0((read_cr0() | cr0_write_protect | cr0_monitor_coprocessor | cr0_numeric_error) &
              ~(cr0_emulation | cr0_task_switched));
    std::uint64_t cr4{read_cr4() | cr4_vector_state};
    if (cpuid(0).eax >= 7) {
        CpuidLeaf const leaf{cpuid(7)};
        if (has_bit(leaf.ebx, 7))
            cr4 |= cr4_smep;
        if (has_bit(leaf.ebx, 20))
            cr4 |= cr4_smap;
        if (has_bit(leaf.ecx, 2))
            cr4 |= cr4_umip;
    }
    write_cr4(cr4);
}

bool has_gigabyte_pages() noexcept { return has_bit(cpuid(extended_features).edx, 26); }
bool is_virtual_machine() noexcept { return (cpuid(1).ecx & hypervisor_bit) != 0; }

bool is_qemu_tcg() noexcept
{
    CpuidLeaf const leaf{cpuid(0x40000000)};
    constexpr std::uint32_t text[]{0x54474354, 0x43544743, 0x47435447}; // "TCGTCGTCGTCG"
    return is_virtual_machine() && leaf.ebx == text[0] && leaf.ecx == text[1] && leaf.edx == text[2];
}

ApicIdShifts apic_id_shifts() noexcept
{
    ApicIdShifts shifts;
    if (cpuid(0).eax < 0xB)
        return shifts;
    for (std::uint32_t level = 0; level < 8; ++level) {
        CpuidLeaf const leaf{cpuid(0xB, level)};
        std::uint32_t const kind{leaf.ecx >> 8 & 0xFF};
        if (kind == 0)
            break;
        // The shift of each level strips it off; the last one leaves the package. Counts are not to be trusted (QEMU
        // dies).
        if (kind == 1)
            shifts.smt = leaf.eax & 0x1F;
        shifts.package = leaf.eax & 0x1F;
    }
    return shifts;
}

} // namespace hv::arch
