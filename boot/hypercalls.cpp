#include "boot/hypercalls.hpp"

namespace hv::boot {

bool handle_hypercall(arch::TrapFrame& frame) noexcept
{
    switch (static_cast<Hypercall>(frame.rax)) {
    case Hypercall::null:
        frame.rax = 0;
        return true;
    case Hypercall::version:
        frame.rax = hypercall_version;
        return true;
    case Hypercall::shutdown:
        return false;
    }
    frame.rax = unknown_hypercall;
    return true;
}

} // namespace hv::boot
