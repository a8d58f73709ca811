// SRAT alone: entries whose ranges do not overflow, or an error that points into the table.
#include "boot/acpi/srat.hpp"
#include "tests/fuzz/memory_image.hpp"

HV_FUZZ_TARGET(srat)
{
    using namespace hv;
    std::size_t bytes{0};
    Status<boot::ParseError> const walked{boot::acpi::walk_srat(
        fuzz::bytes_of(input), [&](boot::acpi::SratCpu const&) { bytes += 16; },
        [&](boot::acpi::SratMemory const& memory) {
            HV_ASSERT(memory.base.value() + memory.length >= memory.base.value());
            bytes += 40;
        })};
    HV_ASSERT(bytes <= input.size());
    if (walked)
        return;
    HV_ASSERT(walked.error().place <= input.size());
    fuzz::expect_one_line(walked.error());
}
