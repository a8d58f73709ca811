#include "boot/ring3_guest.hpp"

#include "arch/x86_64/ring3_state.hpp"
#include "boot/hypercall/abi.hpp"

namespace hv::boot {
namespace {

arch::Ring3Next answer_alone(void*, arch::TrapFrame& frame) noexcept
{
    using hypercall::Number;
    if (static_cast<Number>(frame.rax) == Number::shutdown)
        return arch::Ring3Next::ends;
    frame.rax = static_cast<Number>(frame.rax) == Number::null      ? 0
                : static_cast<Number>(frame.rax) == Number::version ? hypercall::abi_version
                                                                    : ~std::uint64_t{0};
    return arch::Ring3Next::goes_on;
}

} // namespace

Status<mm::MapError> Ring3Guest::build(std::span<std::byte const> code)
{
    if (Status<mm::MapError> const built{space_.build()}; !built)
        return built;
    if (Status<mm::MapError> const added{space_.add_page(code_at, space_.node(), code, Access::read_execute)}; !added)
        return added;
    return space_.add_page(stack_at, space_.node(), {}, Access::read_write);
}

arch::Ring3Outcome Ring3Guest::run(std::uint64_t argument)
{
    arch::Ring3State{}.load();
    GuestSpace::switch_between(nullptr, &space_);
    arch::Ring3Outcome const outcome{arch::run_in_ring3(code_at, stack_end, argument, {.hypercall = answer_alone})};
    GuestSpace::switch_between(&space_, nullptr);
    return outcome;
}

} // namespace hv::boot
