#include "arch/x86_64/ring3_state.hpp"

#include "arch/x86_64/instructions.hpp"

#include <cstring>

namespace hv::arch {

Ring3State::Ring3State() noexcept
{
    constexpr std::uint16_t x87_control = 0x37f;     // at offset 0
    constexpr std::uint32_t vector_control = 0x1f80; // at offset 24
    std::memcpy(vectors_.data(), &x87_control, sizeof x87_control);
    std::memcpy(vectors_.data() + 24, &vector_control, sizeof vector_control);
}

Ring3State::Selectors Ring3State::read_selectors() noexcept
{
    Selectors s;
    asm volatile("movw %%ds, %0; movw %%es, %1; movw %%fs, %2; movw %%gs, %3"
                 : "=r"(s.ds), "=r"(s.es), "=r"(s.fs), "=r"(s.gs));
    return s;
}

// Loading FS or GS changes its base, for GS the one of the kernel: it is exchanged meanwhile.
void Ring3State::write_selectors(Selectors const& s) noexcept
{
    asm volatile("movw %0, %%ds; movw %1, %%es; movw %2, %%fs; swapgs; movw %3, %%gs; swapgs" ::"r"(s.ds), "r"(s.es),
                 "r"(s.fs), "r"(s.gs)
                 : "memory");
}

void Ring3State::save() noexcept
{
    asm volatile("fxsave64 %0" : "=m"(vectors_));
    fs_base_ = read_msr(msr_fs_base);
    gs_base_ = read_msr(msr_other_gs_base);
    selectors_ = read_selectors();
}

void Ring3State::load() const noexcept
{
    asm volatile("fxrstor64 %0" ::"m"(vectors_));
    if (selectors_ != read_selectors()) [[unlikely]]
        write_selectors(selectors_);
    write_msr(msr_fs_base, fs_base_);
    write_msr(msr_other_gs_base, gs_base_);
}

void Ring3State::set_fs_base(std::uint64_t base) noexcept { write_msr(msr_fs_base, base); }
void Ring3State::set_gs_base(std::uint64_t base) noexcept { write_msr(msr_other_gs_base, base); }

} // namespace hv::arch
