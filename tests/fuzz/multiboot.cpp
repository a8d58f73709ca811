// What a loader leaves, of both kinds: views that stay inside it, or one line that says what is wrong.
//
// The first byte says which kind (odd: multiboot 2); the rest is memory from 0x9000 on, with the info block at 0x9500
// as QEMU puts it, or at its start.
#include "boot/info/multiboot.hpp"
#include "tests/fuzz/memory_image.hpp"

#include <memory>

HV_FUZZ_TARGET(multiboot)
{
    using namespace hv;
    if (input.empty())
        return;
    constexpr std::uint64_t base = 0x9000, info_of_qemu = 0x9500;
    bool const second = input[0] % 2 == 1;
    fuzz::MemoryImage const memory{base, input.subspan(1)};
    auto const out = std::make_unique<boot::BootInfo>();
    Status<boot::ParseError> const parsed{
        boot::parse_multiboot(second ? boot::multiboot2_magic : boot::multiboot1_magic,
                              PhysAddr{second ? base : info_of_qemu}, memory.view(), *out)};
    if (!parsed)
        return fuzz::expect_one_line(parsed.error());
    for (std::string_view const text : {out->loader, out->command_line})
        HV_ASSERT(text.empty() || memory.contains(text));
    HV_ASSERT(out->rsdp.empty() || memory.contains(out->rsdp));
    HV_ASSERT(!out->regions.empty());
    for (boot::MemoryRegion const& region : out->regions)
        HV_ASSERT(region.length > 0 && region.base.value() + region.length >= region.base.value());
    for (boot::OccupiedRange const& range : out->occupied)
        HV_ASSERT(range.base.value() + range.length >= range.base.value());
    if (out->module)
        HV_ASSERT(out->module->start <= out->module->end);
}
