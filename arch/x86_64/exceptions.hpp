// Exceptions: reported and fatal, unless a self-test announced that it provokes one. Those of ring 3 end the guest
// (ring3.hpp) and nothing else.
//
// expect_fault() is for self-tests: it calls a function that must fault with the given vector, and comes back with what
// the processor said. Not nested; the function must hold no lock. Floor: arch/x86_64.
#pragma once

#include "arch/generic/format.hpp"
#include "arch/x86_64/trap_frame.hpp"

#include <cstdint>

namespace hv::arch {

// The first member is written by run_expecting_fault in vectors.S.
struct ExpectedFault {
    std::uint64_t stack_pointer{0};
    Vector vector{};
    std::uint64_t error_code{0};
    std::uint64_t address{0}; // CR2 at the fault
};

struct FaultOutcome {
    bool faulted{false};
    bool overflowed_stack{false}; // the address lies in a guard page of the stack in use
    std::uint64_t error_code{0};
    std::uint64_t address{0};
};

// Calls function(argument). A fault with another vector is a panic.
[[nodiscard]] FaultOutcome expect_fault(Vector vector, void (*function)(void*), void* argument) noexcept;

// "exception 14 page fault, ..." without an end of line. `address`: CR2 at the fault.
void describe_exception(Sink& sink, TrapFrame const& frame, std::uint64_t address) noexcept;
// Called by the trap handler for vectors below 32.
void handle_exception(TrapFrame& frame) noexcept;

} // namespace hv::arch
