#include "tests/explorer/runtime/arena.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace hv::explorer {

namespace {

constexpr std::uintptr_t address{0x5e00'0000'0000};

[[noreturn]] void give_up(char const* why)
{
    std::fprintf(stderr, "explorer: %s\n", why);
    std::exit(1);
}

} // namespace

Arena::Arena()
{
    void* const wanted{reinterpret_cast<void*>(address)};
    void* const memory{
        mmap(wanted, 2 * capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)};
    if (memory != wanted)
        give_up("its address is taken; run it without other libraries loaded");
    memory_ = static_cast<std::byte*>(memory);
    kept_ = memory_ + capacity;
}

void* Arena::allocate(std::size_t bytes, std::size_t align)
{
    std::size_t const at{(used_ + align - 1) / align * align};
    if (at + bytes > capacity)
        give_up("the scenario needs more memory than Arena::capacity");
    used_ = at + bytes + 64; // who writes beyond the end shall not hit somebody else
    std::memset(memory_ + at, 0, bytes);
    return memory_ + at;
}

void Arena::clear()
{
    std::memset(memory_, 0, used_);
    used_ = 0;
}

void Arena::keep()
{
    used_then_ = used_;
    std::memcpy(kept_, memory_, used_);
}

void Arena::restore()
{
    used_ = used_then_;
    std::memcpy(memory_, kept_, used_);
}

Arena& arena()
{
    static Arena one;
    return one;
}

} // namespace hv::explorer
