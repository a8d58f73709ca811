// A vector with room for N elements inside itself, for what is known before there is an allocator.
//
// Elements are trivially copyable, so the whole vector is, and a zeroed one is a valid empty one (.bss will do). A full
// vector says so: push_back and insert return false and change nothing; the caller decides whether that is an error. No
// locks. Floor: boot/info.
#pragma once

#include "arch/generic/assert.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <type_traits>

namespace hv::boot {

template <typename T, std::size_t N>
class FixedVector {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    static constexpr std::size_t capacity = N;

    [[nodiscard]] constexpr std::size_t size() const { return size_; }
    [[nodiscard]] constexpr bool empty() const { return size_ == 0; }
    [[nodiscard]] constexpr bool full() const { return size_ == N; }

    // index < size().
    [[nodiscard]] constexpr T& operator[](std::size_t index)
    {
        HV_ASSERT(index < size_);
        return items_[index];
    }
    [[nodiscard]] constexpr T const& operator[](std::size_t index) const
    {
        HV_ASSERT(index < size_);
        return items_[index];
    }

    // False, and nothing changed, if the vector is full.
    [[nodiscard]] constexpr bool push_back(T const& item) { return insert(size_, item); }

    // Puts `item` in front of the element at `index` (<= size()). False, and nothing changed, if the vector is full.
    [[nodiscard]] constexpr bool insert(std::size_t index, T const& item)
    {
        HV_ASSERT(index <= size_);
        if (full())
            return false;
        T const copy{item}; // `item` may be one of ours, about to move.
        for (std::size_t i = size_; i > index; --i)
            items_[i] = items_[i - 1];
        items_[index] = copy;
        ++size_;
        return true;
    }

    // index < size().
    constexpr void erase(std::size_t index)
    {
        HV_ASSERT(index < size_);
        --size_;
        for (std::size_t i = index; i < size_; ++i)
            items_[i] = items_[i + 1];
    }

    constexpr void clear() { size_ = 0; }
    // size <= size().
    constexpr void truncate(std::size_t size)
    {
        HV_ASSERT(size <= size_);
        size_ = size;
    }

    [[nodiscard]] constexpr T* begin() { return items_.data(); }
    [[nodiscard]] constexpr T* end() { return items_.data() + size_; }
    [[nodiscard]] constexpr T const* begin() const { return items_.data(); }
    [[nodiscard]] constexpr T const* end() const { return items_.data() + size_; }
    [[nodiscard]] constexpr std::span<T const> span() const { return {items_.data(), size_}; }

private:
    std::array<T, N> items_{};
    std::size_t size_{0};
};

} // namespace hv::boot
