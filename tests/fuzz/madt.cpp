// MADT alone: a list of pCPUs or an error that points into the table.
#include "boot/acpi/madt.hpp"
#include "tests/fuzz/memory_image.hpp"

HV_FUZZ_TARGET(madt)
{
    using namespace hv;
    std::size_t count{0};
    Status<boot::ParseError> const walked{boot::acpi::for_each_pcpu(fuzz::bytes_of(input), [&](std::uint32_t apic_id) {
        HV_ASSERT(apic_id != 0xffff'ffff);
        ++count;
    })};
    HV_ASSERT(count <= input.size() / 8);
    if (walked)
        return;
    HV_ASSERT(walked.error().place <= input.size());
    fuzz::expect_one_line(walked.error());
    static_cast<void>(boot::acpi::local_apic_address(fuzz::bytes_of(input)));
}
