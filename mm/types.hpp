// Words that all of mm/ uses: page frames, orders of two, stretches of physical memory, how an allocation can fail, and
// the direct map through which the allocators reach the memory they manage.
//
// Units: a Pfn counts 4 KiB pages, an Order is the binary logarithm of a number of pages, everything else is in bytes.
// Plain values; no state, no locks. Floor: mm.
#pragma once

#include "arch/generic/assert.hpp"
#include "arch/generic/types.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hv::mm {

inline constexpr unsigned page_shift = 12;
inline constexpr std::uint64_t page_size = std::uint64_t{1} << page_shift;
// x86 has at most 52 bits of physical address, so page numbers and byte counts below it never overflow 64 bits.
inline constexpr std::uint64_t physical_limit = std::uint64_t{1} << 52;

using Pfn = Id<struct PfnTag, std::uint64_t>; // the number of a 4 KiB page frame

[[nodiscard]] constexpr Pfn pfn_of(PhysAddr address) { return Pfn{address.value() >> page_shift}; }
[[nodiscard]] constexpr PhysAddr address_of(Pfn frame) { return PhysAddr{frame.value() << page_shift}; }
[[nodiscard]] constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t power_of_two)
{
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}
[[nodiscard]] constexpr std::uint64_t round_down(std::uint64_t value, std::uint64_t power_of_two)
{
    return value & ~(power_of_two - 1);
}

// A block of 2^value pages. Any value can be asked for; what lies above the largest is answered with order_too_large.
class Order {
public:
    static constexpr unsigned largest = 18; // 1 GiB
    static constexpr unsigned count = largest + 1;

    constexpr Order() = default;
    constexpr explicit Order(unsigned value)
        : value_{static_cast<std::uint8_t>(value < over_the_top ? value : over_the_top)}
    {
    }

    [[nodiscard]] constexpr unsigned value() const { return value_; }
    [[nodiscard]] constexpr bool is_valid() const { return value_ <= largest; }
    [[nodiscard]] constexpr std::uint64_t pages() const
    {
        HV_ASSERT(is_valid());
        return std::uint64_t{1} << value_;
    }
    [[nodiscard]] constexpr std::uint64_t bytes() const { return pages() << page_shift; }

    friend constexpr auto operator<=>(Order, Order) = default;

private:
    static constexpr unsigned over_the_top = 255;
    std::uint8_t value_{0};
};

inline constexpr Order order_4k{0};
inline constexpr Order order_2m{9};
inline constexpr Order order_1g{18};

// Bytes [base, base + length).
struct PhysRange {
    PhysAddr base{};
    std::uint64_t length{0};
};

// Memory of one node, as the firmware tells of it: bytes [base, base + length).
struct MemoryBlock {
    PhysAddr base{};
    std::uint64_t length{0};
    NodeId node{};

    [[nodiscard]] constexpr std::uint64_t end() const { return base.value() + length; }
    friend constexpr bool operator==(MemoryBlock const&, MemoryBlock const&) = default;
};

// Page frames [first, end).
struct PageRange {
    Pfn first{};
    Pfn end{};

    [[nodiscard]] constexpr std::uint64_t pages() const { return end.value() - first.value(); }
    [[nodiscard]] constexpr bool contains(Pfn frame) const { return frame >= first && frame < end; }
};

// Why there is no memory. The first three say how far the search was allowed to go.
enum class AllocError : std::uint8_t {
    exhausted_node,  // the one node asked for has no block of this order
    exhausted_set,   // no node of the set has
    exhausted,       // no node of the machine has
    order_too_large, // above Order::largest
    over_limit,      // the owner would exceed its max_pages
    bad_request,     // a node, set, owner, size or alignment that makes no sense
};

[[nodiscard]] constexpr std::string_view name_of(AllocError error)
{
    switch (error) {
    case AllocError::exhausted_node:
        return "node exhausted";
    case AllocError::exhausted_set:
        return "node set exhausted";
    case AllocError::exhausted:
        return "memory exhausted";
    case AllocError::order_too_large:
        return "order too large";
    case AllocError::over_limit:
        return "over the domain's page limit";
    case AllocError::bad_request:
        return "bad request";
    }
    return "?";
}

// Every page the allocators manage is mapped at its physical address plus one offset (modulo 2^64).
class DirectMap {
public:
    constexpr DirectMap() = default;
    constexpr explicit DirectMap(std::uintptr_t base) : base_{base} {}

    template <typename T>
    [[nodiscard]] T* at(PhysAddr address) const
    {
        return reinterpret_cast<T*>(base_ + address.value());
    }

private:
    std::uintptr_t base_{0};
};

} // namespace hv::mm
