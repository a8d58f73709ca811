// A guest's memory as hypercalls see it: ranges of addresses that are checked, then copied page by page.
//
// Nothing is believed of a range: it must lie in the lower half, must not wrap round, and every page of it must be
// mapped for ring 3 with the access that is needed; the pages are looked up, never touched in the hope that they are
// there. All of a range is checked before a byte of it is written. No state, no locks. Floor: boot (shared with the
// host).
#pragma once

#include "boot/hypercall/abi.hpp"

#include <cstring>
#include <span>

namespace hv::hypercall {

inline constexpr std::uint64_t guest_page_bytes = 4096;

// Bytes [at, at + bytes) of a guest.
struct GuestRange {
    std::uint64_t at;
    std::uint64_t bytes;

    [[nodiscard]] constexpr bool is_in_lower_half() const { return at < address_limit && bytes <= address_limit - at; }
    // Both in the lower half. An empty range overlaps nothing.
    [[nodiscard]] constexpr bool overlaps(GuestRange const& other) const
    {
        return bytes > 0 && other.bytes > 0 && at < other.at + other.bytes && other.at < at + bytes;
    }
};

// Whose memory it is. NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): never deleted through this class.
class GuestMemory {
public:
    // The byte at `address`, good to the end of its 4 KiB page; nullptr: nothing is mapped there for ring 3 with this
    // access. The address is in the lower half.
    [[nodiscard]] virtual std::byte* find(std::uint64_t address, bool write) noexcept = 0;

protected:
    constexpr GuestMemory() = default;
    constexpr ~GuestMemory() = default;
    GuestMemory(GuestMemory const&) = default;
    GuestMemory& operator=(GuestMemory const&) = default;
};

// Calls act(pointer, offset into the range, bytes) for each page's part of the range. false: one of them is not there;
// those before it have been acted on.
template <typename Act>
[[nodiscard]] bool for_each_part(GuestMemory& memory, GuestRange range, bool write, Act const& act)
{
    if (!range.is_in_lower_half())
        return false;
    for (std::uint64_t done = 0; done < range.bytes;) {
        std::uint64_t const address{range.at + done};
        std::uint64_t const in_page{guest_page_bytes - address % guest_page_bytes};
        std::uint64_t const bytes{in_page < range.bytes - done ? in_page : range.bytes - done};
        std::byte* const there{memory.find(address, write)};
        if (there == nullptr)
            return false;
        act(there, done, bytes);
        done += bytes;
    }
    return true;
}

[[nodiscard]] inline bool is_accessible(GuestMemory& memory, GuestRange range, bool write)
{
    return for_each_part(memory, range, write, [](std::byte*, std::uint64_t, std::uint64_t) {});
}

[[nodiscard]] inline bool copy_in(GuestMemory& memory, std::span<std::byte> to, std::uint64_t from)
{
    return for_each_part(memory, {from, to.size()}, false,
                         [&](std::byte const* there, std::uint64_t offset, std::uint64_t bytes) {
                             std::memcpy(to.data() + offset, there, bytes);
                         });
}

// All or nothing.
[[nodiscard]] inline bool copy_out(GuestMemory& memory, std::uint64_t to, std::span<std::byte const> from)
{
    GuestRange const range{to, from.size()};
    return is_accessible(memory, range, true) &&
           for_each_part(memory, range, true, [&](std::byte* there, std::uint64_t offset, std::uint64_t bytes) {
               std::memcpy(there, from.data() + offset, bytes);
           });
}

} // namespace hv::hypercall
