#include "arch/x86_64/machine_check.hpp"

#include "arch/x86_64/instructions.hpp"

namespace hv::arch {
namespace {

constexpr std::uint32_t msr_capabilities = 0x179, msr_status = 0x17A, msr_control = 0x17B, msr_first_bank = 0x400;
constexpr std::uint64_t has_control = 1u << 8, everything = ~std::uint64_t{0};
constexpr std::uint64_t cr4_machine_check = 1u << 6;

bool has_machine_check()
{
    constexpr std::uint32_t exception = 1u << 7, architecture = 1u << 14;
    return (cpuid(1).edx & (exception | architecture)) == (exception | architecture);
}

std::uint32_t bank_count() { return static_cast<std::uint32_t>(read_msr(msr_capabilities) & 0xFF); }

// Four registers each.
constexpr std::uint32_t control_of(std::uint32_t bank) { return msr_first_bank + 4 * bank; }
constexpr std::uint32_t status_of(std::uint32_t bank) { return control_of(bank) + 1; }
constexpr std::uint32_t address_of_error(std::uint32_t bank) { return control_of(bank) + 2; }
constexpr std::uint32_t details_of(std::uint32_t bank) { return control_of(bank) + 3; }

} // namespace

void machine_check_enable() noexcept
{
    if (!has_machine_check())
        return;
    if ((read_msr(msr_capabilities) & has_control) != 0)
        write_msr(msr_control, everything);
    for (std::uint32_t bank = 0; bank < bank_count(); ++bank) {
        write_msr(control_of(bank), everything);
        write_msr(status_of(bank), 0); // What happened before us is nobody's any more.
    }
    write_cr4(read_cr4() | cr4_machine_check);
}

void describe_machine_check(Sink& sink)
{
    constexpr std::uint64_t valid = std::uint64_t{1} << 63, uncorrected = std::uint64_t{1} << 61;
    constexpr std::uint64_t has_details = std::uint64_t{1} << 59, has_address = std::uint64_t{1} << 58;
    if (!has_machine_check())
        return;
    print(sink, "the processor reports an error, status {:x}\n", read_msr(msr_status));
    for (std::uint32_t bank = 0; bank < bank_count(); ++bank) {
        std::uint64_t const status{read_msr(status_of(bank))};
        if ((status & valid) == 0)
            continue;
        print(sink, "  bank {}: {} error {:x}", bank, (status & uncorrected) != 0 ? "uncorrected" : "corrected",
              status);
        if ((status & has_address) != 0)
            print(sink, ", address {:x}", read_msr(address_of_error(bank)));
        if ((status & has_details) != 0)
            print(sink, ", details {:x}", read_msr(details_of(bank)));
        print(sink, "\n");
    }
}

} // namespace hv::arch
