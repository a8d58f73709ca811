#include "boot/acpi/usable_memory.hpp"

#include <algorithm>
#include <limits>

namespace hv::boot::acpi {

namespace {

std::uint64_t end_of(MemoryRegion const& region)
{
    std::uint64_t const base{region.base.value()};
    return region.length > std::numeric_limits<std::uint64_t>::max() - base ? std::numeric_limits<std::uint64_t>::max()
                                                                            : base + region.length;
}

// Adds [base, end) to the sorted, disjoint `ranges`; what it overlaps or touches becomes one with it.
bool unite(MemoryRanges& ranges, std::uint64_t base, std::uint64_t end)
{
    std::size_t i{0};
    while (i < ranges.size() && ranges[i].end() < base)
        ++i;
    while (i < ranges.size() && ranges[i].base.value() <= end) {
        base = std::min(base, ranges[i].base.value());
        end = std::max(end, ranges[i].end());
        ranges.erase(i);
    }
    return ranges.insert(i, {PhysAddr{base}, end - base, NodeId{}});
}

// Takes [base, end) out of `ranges`. Returns how many bytes outside of it were lost for lack of room.
std::uint64_t subtract(MemoryRanges& ranges, std::uint64_t base, std::uint64_t end)
{
    std::uint64_t lost{0};
    for (std::size_t i = 0; i < ranges.size();) {
        MemoryRange& range{ranges[i]};
        std::uint64_t const from{range.base.value()};
        std::uint64_t const to{range.end()};
        if (to <= base || from >= end) {
            ++i;
        } else if (from < base) {
            // The front stays; the back, if there is one, comes next and is trimmed then.
            if (to > end && !split_range(ranges, i, end))
                lost += to - end;
            ranges[i].length = base - from;
            ++i;
        } else if (to > end) {
            range.base = PhysAddr{end};
            range.length = to - end;
            ++i;
        } else {
            ranges.erase(i);
        }
    }
    return lost;
}

} // namespace

bool split_range(MemoryRanges& ranges, std::size_t index, std::uint64_t at)
{
    MemoryRange const whole{ranges[index]};
    HV_ASSERT(whole.base.value() < at && at < whole.end());
    if (!ranges.insert(index + 1, {PhysAddr{at}, whole.end() - at, whole.node}))
        return false;
    ranges[index].length = at - whole.base.value();
    return true;
}

void keep_whole_pages(MemoryRanges& ranges)
{
    for (std::size_t i = 0; i < ranges.size();) {
        MemoryRange& range{ranges[i]};
        // Bytes up to the next page boundary; no sum that could overflow.
        std::uint64_t const skip{(page_bytes - range.base.value() % page_bytes) % page_bytes};
        std::uint64_t const rest{range.length > skip ? (range.length - skip) / page_bytes * page_bytes : 0};
        if (rest == 0) {
            ranges.erase(i);
        } else {
            range = {PhysAddr{range.base.value() + skip}, rest, range.node};
            ++i;
        }
    }
}

std::uint64_t collect_usable_memory(std::span<MemoryRegion const> regions, MemoryRanges& out)
{
    std::uint64_t lost{0};
    out.clear();
    for (MemoryRegion const& region : regions)
        if (region.kind == MemoryKind::usable && region.length != 0 && !unite(out, region.base.value(), end_of(region)))
            lost += region.length;
    for (MemoryRegion const& region : regions)
        if (region.kind != MemoryKind::usable && region.length != 0)
            lost += subtract(out, region.base.value(), end_of(region));
    keep_whole_pages(out);
    return lost;
}

} // namespace hv::boot::acpi
