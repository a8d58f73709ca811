// ACPI tables byte by byte, with right lengths and checksums, and a firmware made of them.
#pragma once

#include "boot/acpi/machine_map.hpp"
#include "tests/unit/info/error_text.hpp"
#include "tests/unit/info/fake_memory.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hv::test {

inline constexpr std::uint64_t KiB = 1u << 10, MiB = 1u << 20, GiB = 1u << 30;

// Makes the bytes from `from` to `to` sum to zero by changing the one at `at`.
inline void fix_checksum(ByteVector& bytes, std::size_t at, std::size_t from, std::size_t to)
{
    bytes[at] = std::byte{0};
    auto const sum = boot::byte_sum(boot::Bytes{bytes}.subspan(from, to - from));
    bytes[at] = static_cast<std::byte>(256 - sum);
}

class TableBuilder {
public:
    TableBuilder(std::string_view signature, unsigned revision)
    {
        out_.text(signature).u32(0).u8(revision).u8(0).text("HVTEST").text("NUMAVISO").u32(1).text("HV  ").u32(1);
    }

    [[nodiscard]] ByteWriter& body() { return out_; }

    [[nodiscard]] ByteVector build() const
    {
        ByteWriter table{out_};
        table.patch_u32(4, static_cast<std::uint32_t>(table.bytes.size()));
        fix_checksum(table.bytes, 9, 0, table.bytes.size());
        table.bytes.shrink_to_fit();
        return table.bytes;
    }

private:
    ByteWriter out_;
};

class Madt : public TableBuilder {
public:
    explicit Madt(std::uint32_t local_apic = 0xfee00000) : TableBuilder{"APIC", 1} { body().u32(local_apic).u32(1); }

    Madt& cpu(unsigned apic_id, unsigned flags = 1)
    {
        body().u8(0).u8(8).u8(apic_id).u8(apic_id).u32(flags);
        return *this;
    }
    Madt& cpus(unsigned count)
    {
        for (unsigned i = 0; i < count; ++i)
            cpu(i);
        return *this;
    }
    Madt& x2apic(std::uint32_t id, unsigned flags = 1)
    {
        body().u8(9).u8(16).u16(0).u32(id).u32(flags).u32(id);
        return *this;
    }
};

class Srat : public TableBuilder {
public:
    explicit Srat(unsigned revision = 1) : TableBuilder{"SRAT", revision} { body().u32(1).u64(0); }

    Srat& cpu(unsigned apic_id, std::uint32_t pxm, unsigned flags = 1)
    {
        body().u8(0).u8(16).u8(pxm).u8(apic_id).u32(flags).u8(0).u8(pxm >> 8).u8(pxm >> 16).u8(pxm >> 24).u32(0);
        return *this;
    }
    Srat& x2apic(std::uint32_t id, std::uint32_t pxm, unsigned flags = 1)
    {
        body().u8(2).u8(24).u16(0).u32(pxm).u32(id).u32(flags).u32(0).u32(0);
        return *this;
    }
    Srat& memory(std::uint64_t base, std::uint64_t length, std::uint32_t pxm, unsigned flags = 1)
    {
        body().u8(1).u8(40).u32(pxm).u16(0).u64(base).u64(length).u32(0).u32(flags).u64(0);
        return *this;
    }
    Srat& unknown(unsigned type, unsigned length)
    {
        body().u8(type).u8(length).zeros(length - 2);
        return *this;
    }
};

[[nodiscard]] inline ByteVector slit(unsigned localities, std::vector<unsigned> const& cells)
{
    TableBuilder table{"SLIT", 1};
    table.body().u64(localities);
    for (unsigned const cell : cells)
        table.body().u8(cell);
    return table.build();
}

// The tables, memory map and flags of one machine. An empty table is one that the firmware does not have.
struct Firmware {
    ByteVector madt{}, srat{}, slit{};
    std::vector<boot::MemoryRegion> regions{};
    boot::acpi::CpuidTopology cpuid{};
    boot::acpi::MapFlags flags{};

    Firmware& ram(std::uint64_t base, std::uint64_t length)
    {
        regions.push_back({PhysAddr{base}, length, boot::MemoryKind::usable});
        return *this;
    }
    Firmware& reserved(std::uint64_t base, std::uint64_t length)
    {
        regions.push_back({PhysAddr{base}, length, boot::MemoryKind::reserved});
        return *this;
    }

    [[nodiscard]] std::unique_ptr<boot::acpi::MachineMap> map() const
    {
        auto result = std::make_unique<boot::acpi::MachineMap>();
        boot::acpi::build_machine_map({boot::Bytes{madt}, boot::Bytes{srat}, boot::Bytes{slit}}, cpuid, flags, regions,
                                      *result);
        return result;
    }
};

// "0:1M+512M 1:2G+1G": node, base and length of each range, in the largest unit that fits.
[[nodiscard]] inline std::string memory_text(boot::acpi::MachineMap const& map)
{
    auto const size = [](std::uint64_t bytes) {
        if (bytes != 0 && bytes % GiB == 0)
            return std::to_string(bytes / GiB) + "G";
        if (bytes != 0 && bytes % MiB == 0)
            return std::to_string(bytes / MiB) + "M";
        return std::to_string(bytes / KiB) + "K";
    };
    std::string text;
    for (boot::acpi::MemoryRange const& range : map.memory)
        text += (text.empty() ? "" : " ") + std::to_string(range.node.value()) + ":" + size(range.base.value()) + "+" +
                size(range.length);
    return text;
}

// The nodes of the pCPUs, by CpuId: "0 0 1 1".
[[nodiscard]] inline std::string node_text(boot::acpi::MachineMap const& map)
{
    std::string text;
    for (boot::acpi::MapPcpu const& pcpu : map.pcpus)
        text += (text.empty() ? "" : " ") + std::to_string(pcpu.node.value());
    return text;
}

// The matrix, row by row: "10 20 / 20 10".
[[nodiscard]] inline std::string distance_text(boot::acpi::MachineMap const& map)
{
    std::string text;
    for (std::size_t i = 0; i < map.distance_table().size(); ++i)
        text += (i == 0 ? "" : i % map.node_count == 0 ? " / " : " ") + std::to_string(map.distance_table()[i]);
    return text;
}

[[nodiscard]] inline std::optional<std::uint64_t> note_value(boot::acpi::MachineMap const& map, std::string_view text)
{
    for (boot::acpi::MapNote const& note : map.notes)
        if (note.text == text)
            return note.value;
    return std::nullopt;
}

} // namespace hv::test
