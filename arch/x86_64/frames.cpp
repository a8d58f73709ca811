#include "arch/x86_64/frames.hpp"

#include "arch/generic/assert.hpp"
#include "arch/x86_64/layout.hpp"

#include <cstring>

namespace hv::arch {
namespace {

constinit PageSource source;

} // namespace

void install_page_source(PageSource const& s) noexcept { source = s; }
bool has_page_source() noexcept { return source.allocate != nullptr; }

std::optional<PhysAddr> allocate_pages(NodeId node, unsigned order) noexcept
{
    HV_ASSERT(has_page_source());
    return source.allocate(source.self, node, order);
}

std::optional<PhysAddr> allocate_zeroed_pages(NodeId node, unsigned order) noexcept
{
    std::optional<PhysAddr> const pages{allocate_pages(node, order)};
    if (pages)
        std::memset(direct_map<void>(*pages), 0, page_size << order);
    return pages;
}

void release_pages(PhysAddr pages, unsigned order) noexcept { source.release(source.self, pages, order); }
NodeId node_of_page(PhysAddr page) noexcept { return source.node_of(source.self, page); }

} // namespace hv::arch
