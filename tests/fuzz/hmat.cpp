// HMAT alone: figures of known kinds, or an error that points into the table.
#include "boot/acpi/hmat.hpp"
#include "tests/fuzz/memory_image.hpp"

HV_FUZZ_TARGET(hmat)
{
    using namespace hv;
    std::size_t count{0};
    Status<boot::ParseError> const walked{
        boot::acpi::walk_hmat(fuzz::bytes_of(input), [&](boot::acpi::HmatFigure const& figure) {
            HV_ASSERT(figure.data <= boot::acpi::HmatData::write_bandwidth);
            ++count;
        })};
    HV_ASSERT(count <= input.size() / 2);
    if (walked)
        return;
    HV_ASSERT(walked.error().place <= input.size());
    fuzz::expect_one_line(walked.error());
}
