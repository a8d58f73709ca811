// Scope in which interrupts are off; leaving it restores what was before. For code that both tasks and interrupt
// handlers call. No locks. Floor: arch/x86_64.
#pragma once

#include "arch/x86_64/instructions.hpp"

#include <arch/irq.hpp>

namespace hv::arch {

class IrqSave {
public:
    [[nodiscard]] IrqSave() : were_off_{irqs_are_off()} { irqs_disable(); }
    ~IrqSave()
    {
        if (!were_off_)
            irqs_enable();
    }
    IrqSave(IrqSave const&) = delete;
    IrqSave& operator=(IrqSave const&) = delete;

private:
    bool were_off_;
};

} // namespace hv::arch
