// Names for code addresses, and the chain of callers.
//
// The table of names is made by scripts/link-kernel. The chain follows frame pointers, through interrupts and
// exceptions to what they interrupted, and stops at the first one that does not lie on a kernel stack, so it is safe on
// a broken stack. No state, no locks. Floor: arch/x86_64.
#pragma once

#include "arch/generic/format.hpp"

#include <cstdint>
#include <string_view>

namespace hv::arch {

struct Symbol {
    std::string_view name; // empty: not a function of the kernel
    std::uint64_t offset{0};
};

[[nodiscard]] Symbol find_symbol(std::uint64_t address);
// "0xffffffff80001234 main+0x14"
void print_symbol(Sink& sink, std::uint64_t address);
// One line for each caller, starting with `instruction`; `frame` is the frame pointer there.
void print_backtrace(Sink& sink, std::uint64_t instruction, std::uint64_t frame);

} // namespace hv::arch
