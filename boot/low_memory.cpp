#include "boot/kernel.hpp"

namespace hv::boot {
namespace {

constexpr std::uint64_t page_bytes = 4096;

bool overlaps(std::uint64_t base, std::uint64_t bytes, std::uint64_t other, std::uint64_t other_bytes)
{
    return base < other + other_bytes && other < base + bytes;
}

bool is_free(BootInfo const& info, std::uint64_t base, std::uint64_t bytes)
{
    bool is_usable{false};
    for (MemoryRegion const& region : info.regions) {
        std::uint64_t const start{region.base.value()};
        if (region.kind == MemoryKind::usable)
            is_usable = is_usable || (base >= start && base + bytes <= start + region.length);
        else if (overlaps(base, bytes, start, region.length))
            return false;
    }
    for (OccupiedRange const& range : info.occupied)
        if (overlaps(base, bytes, range.base.value(), range.length))
            return false;
    return is_usable;
}

} // namespace

// From the top: loaders leave things at the bottom. Page 0 is never given.
std::optional<PhysAddr> find_low_memory(BootInfo const& info, std::uint64_t bytes, PhysAddr limit)
{
    for (std::uint64_t base = limit.value() - bytes; base >= page_bytes; base -= page_bytes)
        if (is_free(info, base, bytes))
            return PhysAddr{base};
    return std::nullopt;
}

} // namespace hv::boot
