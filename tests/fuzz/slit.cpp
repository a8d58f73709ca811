// SLIT alone: a matrix that keeps the rules, or an error that points into the table.
#include "boot/acpi/slit.hpp"
#include "tests/fuzz/memory_image.hpp"

HV_FUZZ_TARGET(slit)
{
    using namespace hv;
    Result<boot::acpi::Slit, boot::ParseError> const slit{boot::acpi::parse_slit(fuzz::bytes_of(input))};
    if (!slit) {
        HV_ASSERT(slit.error().place <= input.size());
        return fuzz::expect_one_line(slit.error());
    }
    for (std::uint32_t from = 0; from < slit->localities; ++from)
        for (std::uint32_t to = 0; to < slit->localities; ++to)
            HV_ASSERT((from == to) == (slit->distance(from, to) == local_distance) &&
                      slit->distance(from, to) >= local_distance);
}
