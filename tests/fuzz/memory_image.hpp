// Physical memory for fuzz targets: one block of bytes at a chosen address, and nothing else. Floor: tests.
#pragma once

#include "arch/generic/format.hpp"
#include "boot/info/physical_memory.hpp"
#include "tests/fuzz/target.hpp"

#include <cstddef>
#include <cstring>
#include <vector>

namespace hv::fuzz {

[[nodiscard]] inline boot::Bytes bytes_of(Input input)
{
    return {reinterpret_cast<std::byte const*>(input.data()), input.size()};
}

class MemoryImage {
public:
    MemoryImage(std::uint64_t base, Input content) : base_{base}, bytes_(content.size())
    {
        if (!content.empty())
            std::memcpy(bytes_.data(), content.data(), content.size());
    }

    // Good for as long as this object is and stays where it is.
    [[nodiscard]] boot::PhysicalMemory view() const
    {
        return {this, [](void const* self, PhysAddr at, std::size_t length) noexcept {
                    return static_cast<MemoryImage const*>(self)->window(at.value(), length);
                }};
    }
    [[nodiscard]] bool contains(boot::Bytes part) const
    {
        return part.data() >= bytes_.data() && part.data() + part.size() <= bytes_.data() + bytes_.size();
    }
    [[nodiscard]] bool contains(std::string_view text) const
    {
        return contains(boot::Bytes{reinterpret_cast<std::byte const*>(text.data()), text.size()});
    }
    // The byte at a physical address; nullptr: it is not here.
    [[nodiscard]] std::byte* at(std::uint64_t address)
    {
        return address < base_ || address - base_ >= bytes_.size() ? nullptr : &bytes_[address - base_];
    }

private:
    [[nodiscard]] boot::Bytes window(std::uint64_t at, std::size_t length) const noexcept
    {
        boot::Bytes const all{bytes_};
        return at >= base_ && boot::fits(all, at - base_, length) ? all.subspan(at - base_, length) : boot::Bytes{};
    }

    std::uint64_t base_;
    std::vector<std::byte> bytes_;
};

// A text of one line, without a line end in it.
template <typename Error>
void expect_one_line(Error const& error)
{
    class OneLine final : public Sink {
    public:
        void write(std::string_view text) override
        {
            size += text.size();
            HV_ASSERT(text.find('\n') == std::string_view::npos);
        }
        std::size_t size{0};
    };
    OneLine sink;
    describe(error, sink);
    HV_ASSERT(sink.size != 0);
}

} // namespace hv::fuzz
