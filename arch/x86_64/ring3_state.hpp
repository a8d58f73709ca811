// What of ring 3 stays in the processor while the kernel runs, because the kernel never touches it: x87 and vector
// registers, the bases of FS and GS, and the segment selectors.
//
// A task that runs in ring 3 has a Ring3State, which is valid while it does not run. Whoever switches tasks exchanges
// the two, always and at once: nobody ever finds a register of somebody else's. Locking: none, the task's. Interrupts
// off. Floor: arch/x86_64.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hv::arch {

class alignas(16) Ring3State {
public:
    // As a new task finds them: default modes, everything else zero.
    Ring3State() noexcept;

    // From the processor, and into it. What is in the processor after save() belongs to nobody.
    void save() noexcept;
    void load() const noexcept;

    // Of the task that runs.
    static void set_fs_base(std::uint64_t base) noexcept;
    static void set_gs_base(std::uint64_t base) noexcept;

private:
    struct Selectors {
        std::uint16_t ds{0}, es{0}, fs{0}, gs{0};
        friend constexpr bool operator==(Selectors const&, Selectors const&) = default;
    };
    [[nodiscard]] static Selectors read_selectors() noexcept;
    static void write_selectors(Selectors const& selectors) noexcept;

    std::array<std::byte, 512> vectors_{}; // FXSAVE's
    std::uint64_t fs_base_{0}, gs_base_{0};
    Selectors selectors_;
};

} // namespace hv::arch
