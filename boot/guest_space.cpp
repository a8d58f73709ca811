#include "boot/guest_space.hpp"

#include "arch/x86_64/kernel_space.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/tlb.hpp"
#include "boot/kernel.hpp"

#include <cstring>

namespace hv::boot {
namespace {

// Pages of the image are nobody's to give back.
void give_back(void*, CpuId cpu, PhysAddr page, mm::Order order) noexcept
{
    bool const is_shared = page >= arch::physical_of(text_start) && page < arch::physical_of(image_end);
    if (!is_shared)
        kernel().pages->free(cpu, page, order);
}

} // namespace

GuestSpace::GuestSpace(NodeId node, mm::DomainAccount* owner)
    : space_{{.pages = kernel().pages,
              .shoot_down = &arch::shoot_down(),
              .pcpus = arch::pcpu_count(),
              .kernel_root = arch::kernel_space().root(),
              .node = node,
              .owner = owner}},
      owner_{owner}
{
}

GuestSpace::~GuestSpace()
{
    if (space_.root() != PhysAddr{})
        space_.demolish(arch::this_cpu(), {.take = give_back});
}

Status<mm::MapError> GuestSpace::build()
{
    if (!space_.build(arch::this_cpu()))
        return fail(mm::MapError::no_memory);
    return done;
}

Status<mm::MapError> GuestSpace::add_page(VirtAddr at, NodeId node, std::span<std::byte const> content, Access access)
{
    HV_ASSERT(content.size() <= mm::page_size);
    CpuId const self{arch::this_cpu()};
    Result<PhysAddr, mm::AllocError> const page{kernel().pages->allocate(self, {.node = node, .owner = owner_})};
    if (!page)
        return fail(mm::MapError::no_memory);
    auto* const bytes = arch::direct_map<std::byte>(*page);
    std::memcpy(bytes, content.data(), content.size());
    std::memset(bytes + content.size(), 0, mm::page_size - content.size());
    Status<mm::MapError> const mapped{space_.map(self, {{at, mm::page_size}, *page, access})};
    if (!mapped)
        kernel().pages->free(self, *page, mm::order_4k);
    return mapped;
}

Status<mm::MapError> GuestSpace::share(VirtAddr at, std::span<std::byte const> pages)
{
    return space_.map(arch::this_cpu(),
                      {{at, pages.size()}, arch::physical_of(pages.data()), Access::read_execute, false});
}

void GuestSpace::switch_between(GuestSpace* from, GuestSpace* to)
{
    mm::AddressSpace::switch_between(arch::this_cpu(), from == nullptr ? nullptr : &from->space_,
                                     to == nullptr ? nullptr : &to->space_, arch::kernel_space().root(),
                                     arch::load_page_tables);
}

} // namespace hv::boot
