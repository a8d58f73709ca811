// All memory that fibers share, at one address in every process, so that a run can be repeated: it is put back to what
// it was when the scenario had been set up. Floor: tests.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hv::explorer {

class Arena {
public:
    static constexpr std::size_t capacity{512 * 1024};

    Arena(); // ends the program if the address is taken
    Arena(Arena const&) = delete;
    Arena& operator=(Arena const&) = delete;

    [[nodiscard]] bool holds(void const* at) const
    {
        return reinterpret_cast<std::uintptr_t>(at) - reinterpret_cast<std::uintptr_t>(memory_) < capacity;
    }
    [[nodiscard]] std::uint32_t offset_of(void const* at) const
    {
        return static_cast<std::uint32_t>(static_cast<std::byte const*>(at) - memory_);
    }
    // Zeroed. Ends the program when there is no more: the arena is made for small machines.
    [[nodiscard]] void* allocate(std::size_t bytes, std::size_t align);
    void clear();
    void keep(); // this is what restore() brings back
    void restore();

private:
    std::byte* memory_;
    std::byte* kept_;
    std::size_t used_{0}, used_then_{0};
};

[[nodiscard]] Arena& arena();

} // namespace hv::explorer
