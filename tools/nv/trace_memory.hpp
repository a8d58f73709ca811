// The trace out of a guest's RAM: the machine's nodes are shared files, the kernel has said where its directory lies.
//
// GuestMemory turns physical addresses into places in those files; find_guest_rings() follows the directory to the
// rings; drain() returns the records of a guest that is gone, so that nothing moves (trace_drain.hpp has the other
// case). What does not add up is an Error (own_failure) that names the address: the kernel wrote it. Host only. Floor:
// tools.
#pragma once

#include "sched/trace/directory.hpp"
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

// Maps of the files, in the order of the nodes.
class GuestMemory {
public:
    explicit GuestMemory(std::vector<std::filesystem::path> const& files);
    // For tests: RAM that is already here, node by node.
    explicit GuestMemory(std::vector<std::span<std::byte>> nodes);
    ~GuestMemory();
    GuestMemory(GuestMemory const&) = delete;
    GuestMemory& operator=(GuestMemory const&) = delete;

    // A copy of [address, address + bytes). Throws if that is not RAM.
    [[nodiscard]] std::vector<std::byte> read(std::uint64_t address, std::uint64_t bytes) const;
    // The thing itself. Throws if it is not within one node's RAM, or not aligned.
    template <typename T>
    [[nodiscard]] T& at(std::uint64_t address) const
    {
        return *reinterpret_cast<T*>(place(address, sizeof(T), alignof(T)));
    }
    [[nodiscard]] std::uint64_t total() const { return total_; }

private:
    [[nodiscard]] std::byte* place(std::uint64_t address, std::uint64_t bytes, std::size_t alignment) const;
    [[nodiscard]] std::uint64_t ram_offset(std::uint64_t address, std::uint64_t bytes) const;

    std::vector<std::span<std::byte>> nodes_;
    bool mapped_;
    std::uint64_t total_{0};
};

struct GuestRing {
    std::uint32_t pcpu{0};
    sched::trace::RingControl* control{nullptr}; // nullptr: this pCPU has none
    std::uint64_t data{0};                       // physical address
    std::uint64_t bytes{0};                      // a power of two
};

// One a pCPU. The directory's and the rings' own numbers are checked.
[[nodiscard]] std::vector<GuestRing> find_guest_rings(GuestMemory const& memory, std::uint64_t directory);

// The record bytes of [tail, head), which the ring still has, behind `bytes`.
void append_ring_bytes(GuestMemory const& memory, GuestRing const& ring, std::uint64_t tail, std::uint64_t head,
                       std::vector<std::byte>& bytes);

struct Drained {
    std::vector<Stream> streams; // one a pCPU
    std::uint64_t lost{0};       // records that the kernel had to drop
    std::uint32_t stamp_khz{0};
};

[[nodiscard]] Drained drain(GuestMemory const& memory, std::uint64_t directory);

} // namespace hv::nv
