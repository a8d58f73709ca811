#include "arch/x86_64/backtrace.hpp"

#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/stacks.hpp"
#include "arch/x86_64/trap_frame.hpp"

namespace hv::arch {
namespace {

struct SymbolEntry {
    std::uint32_t text_offset; // from kernel_base
    std::uint32_t name_offset;
};

} // namespace

extern "C" {
extern std::uint64_t const symbol_count;   // NOLINT(readability-identifier-naming)
extern SymbolEntry const symbol_entries[]; // NOLINT(readability-identifier-naming)
extern char const symbol_names[];          // NOLINT(readability-identifier-naming)
extern char leave_trap[];                  // NOLINT(readability-identifier-naming): vectors.S
}

Symbol find_symbol(std::uint64_t address)
{
    if (address < address_of(text_start) || address >= address_of(text_end))
        return {};
    std::uint64_t const wanted = address - kernel_base;
    std::uint64_t low{0}, high{symbol_count};
    while (low < high) {
        std::uint64_t const middle = low + (high - low) / 2;
        if (symbol_entries[middle].text_offset <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return {};
    SymbolEntry const& entry{symbol_entries[low - 1]};
    return {.name = symbol_names + entry.name_offset, .offset = wanted - entry.text_offset};
}

void print_symbol(Sink& sink, std::uint64_t address)
{
    Symbol const symbol = find_symbol(address);
    if (symbol.name.empty())
        print(sink, "{:x} ?", address);
    else
        print(sink, "{:x} {}+{:x}", address, symbol.name, symbol.offset);
}

namespace {

// What vectors.S saved before it called handle_trap, whose frame this is: it lies right above the return address.
TrapFrame const* trap_above(std::uint64_t frame)
{
    std::uint64_t const at{frame + 16};
    return is_on_a_stack(at) && is_on_a_stack(at + sizeof(TrapFrame) - 1) ? reinterpret_cast<TrapFrame const*>(at)
                                                                          : nullptr;
}

// False if there is nothing of ours below it.
bool print_trap(Sink& sink, TrapFrame const& trap)
{
    print(sink, "      {} {} interrupted\n", trap.vector < exception_count ? "exception" : "interrupt", trap.vector);
    if ((trap.cs & 3) == 0)
        return true;
    print(sink, "      ring 3 at {:x}\n", trap.rip);
    return false;
}

} // namespace

void print_backtrace(Sink& sink, std::uint64_t instruction, std::uint64_t frame)
{
    constexpr unsigned max_depth = 40;
    for (unsigned depth = 0; depth < max_depth; ++depth) {
        print(sink, "  #{:<2} ", depth);
        print_symbol(sink, instruction);
        print(sink, "\n");
        // A frame holds the caller's frame pointer and the return address.
        if (frame % 8 != 0 || !is_on_a_stack(frame) || !is_on_a_stack(frame + 15))
            return;
        auto const* const words = reinterpret_cast<std::uint64_t const*>(frame);
        if (words[1] == address_of(leave_trap)) {
            TrapFrame const* const trap{trap_above(frame)};
            if (trap == nullptr || !print_trap(sink, *trap))
                return;
            instruction = trap->rip;
            frame = trap->rbp; // perhaps of another stack
            continue;
        }
        if (words[1] == 0 || words[0] <= frame)
            return;
        frame = words[0];
        instruction = words[1];
    }
}

} // namespace hv::arch
