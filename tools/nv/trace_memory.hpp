// The trace out of a dead guest's RAM: the machine's nodes are shared files, the kernel has said where its directory
// lies.
//
// GuestMemory turns physical addresses into places in those files; drain() follows the directory to the rings and
// returns their records. The guest is gone by then, so nothing moves. What does not add up is an Error (own_failure)
// that names the address: the kernel wrote it. Host only. Floor: tools.
#pragma once

#include "tools/nv/xentrace.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace hv::nv {

// q35 has at most so much RAM below 4 GiB, if the machine has 2.75 GiB or more; the rest starts at 4 GiB.
inline constexpr std::uint64_t q35_low_ram_limit = 2ull << 30;
inline constexpr std::uint64_t q35_split_from = 0xb000'0000; // 2.75 GiB

// Read-only maps of the files, in the order of the nodes. Movable.
class GuestMemory {
public:
    explicit GuestMemory(std::vector<std::filesystem::path> const& files);
    // For tests: RAM that is already here, node by node.
    explicit GuestMemory(std::vector<std::span<std::byte const>> nodes);
    ~GuestMemory();
    GuestMemory(GuestMemory const&) = delete;
    GuestMemory& operator=(GuestMemory const&) = delete;

    // A copy of [address, address + bytes). Throws if that is not RAM.
    [[nodiscard]] std::vector<std::byte> read(std::uint64_t address, std::uint64_t bytes) const;
    [[nodiscard]] std::uint64_t total() const { return total_; }

private:
    [[nodiscard]] std::uint64_t ram_offset(std::uint64_t address, std::uint64_t bytes) const;

    std::vector<std::span<std::byte const>> nodes_;
    bool mapped_;
    std::uint64_t total_{0};
};

struct Drained {
    std::vector<Stream> streams; // one a pCPU
    std::uint64_t lost{0};       // records that the kernel had to drop
    std::uint32_t stamp_khz{0};
};

[[nodiscard]] Drained drain(GuestMemory const& memory, std::uint64_t directory);

} // namespace hv::nv
