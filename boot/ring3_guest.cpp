#include "boot/ring3_guest.hpp"

#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/kernel_space.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/tlb.hpp"
#include "boot/hypercalls.hpp"
#include "boot/kernel.hpp"

#include <cstring>

namespace hv::boot {
namespace {

void give_back(void*, CpuId cpu, PhysAddr page, mm::Order order) noexcept { kernel().pages->free(cpu, page, order); }

void switch_spaces(mm::AddressSpace* from, mm::AddressSpace* to)
{
    mm::AddressSpace::switch_between(arch::this_cpu(), from, to, arch::kernel_space().root(), arch::load_page_tables);
}

} // namespace

Ring3Guest::Ring3Guest(NodeId node)
    : space_{{.pages = kernel().pages,
              .shoot_down = &arch::shoot_down(),
              .pcpus = arch::pcpu_count(),
              .kernel_root = arch::kernel_space().root(),
              .node = node}}
{
}

Ring3Guest::~Ring3Guest()
{
    if (space_.root() != PhysAddr{})
        space_.demolish(arch::this_cpu(), {.take = give_back});
}

Status<mm::MapError> Ring3Guest::add_page(VirtAddr at, std::span<std::byte const> content, Access access)
{
    HV_ASSERT(content.size() <= mm::page_size);
    std::optional<PhysAddr> const page{arch::allocate_zeroed_pages(space_.node(), 0)};
    if (!page)
        return fail(mm::MapError::no_memory);
    std::memcpy(arch::direct_map<void>(*page), content.data(), content.size());
    Status<mm::MapError> const mapped{space_.map(arch::this_cpu(), {{at, mm::page_size}, *page, access})};
    if (!mapped)
        arch::release_pages(*page, 0);
    return mapped;
}

Status<mm::MapError> Ring3Guest::build(std::span<std::byte const> code)
{
    if (!space_.build(arch::this_cpu()))
        return fail(mm::MapError::no_memory);
    if (Status<mm::MapError> const added{add_page(code_at, code, Access::read_execute)}; !added)
        return added;
    return add_page(stack_at, {}, Access::read_write);
}

arch::Ring3Outcome Ring3Guest::run(std::uint64_t argument)
{
    arch::HypercallHandler const handler{
        .handle = [](void*, arch::TrapFrame& frame) noexcept { return handle_hypercall(frame); }};
    switch_spaces(nullptr, &space_);
    arch::Ring3Outcome const outcome{arch::run_in_ring3(code_at, stack_end, argument, handler)};
    switch_spaces(&space_, nullptr);
    return outcome;
}

} // namespace hv::boot
