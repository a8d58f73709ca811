// The port that the scheduler stands on: its memory.
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/layout.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

#include <arch/env.hpp>

#include <array>

namespace hv::test {
namespace {

bool is_zero(void const* memory, std::size_t bytes)
{
    auto const* const at = static_cast<unsigned char const*>(memory);
    for (std::size_t i = 0; i < bytes; ++i)
        if (at[i] != 0)
            return false;
    return true;
}

void dirty(void* memory, std::size_t bytes)
{
    auto* const at = static_cast<unsigned char volatile*>(memory);
    for (std::size_t i = 0; i < bytes; ++i)
        at[i] = 0xA5;
}

NodeId node_of(void const* memory)
{
    return arch::node_of_page(PhysAddr{arch::physical_of(memory).value() & ~(arch::page_size - 1)});
}

} // namespace

HV_SELFTEST(env_memory_is_zeroed_aligned_and_on_its_node)
{
    constexpr std::array<std::size_t, 8> sizes{1, 16, 24, 64, 500, 2048, 4096, 20'000};
    arch::Env env;
    for (NodeId const node : boot::kernel().pages->usable()) {
        for (std::size_t const bytes : sizes) {
            // Twice: the second block may be the first, used and given back.
            for (unsigned round = 0; round < 2; ++round) {
                void* const memory{env.allocate(node, bytes, bytes < 16 ? 1 : 16)};
                HV_CHECK(memory != nullptr);
                HV_CHECK(is_zero(memory, bytes));
                HV_CHECK(arch::address_of(memory) % 16 == 0);
                HV_CHECK(node_of(memory) == node);
                dirty(memory, bytes);
                env.release(memory, bytes);
            }
        }
    }
}

HV_SELFTEST(env_blocks_of_one_page_do_not_overlap)
{
    constexpr std::size_t bytes = 48; // 64 with rounding: 64 blocks to a page
    std::array<void*, 100> blocks{};
    NodeId const node{arch::this_percpu().node};
    arch::Env env;
    for (void*& block : blocks) {
        block = env.allocate(node, bytes, 16);
        HV_CHECK(block != nullptr && is_zero(block, bytes)); // An overlap would show what the last one wrote.
        dirty(block, bytes);
    }
    for (void* const block : blocks)
        env.release(block, bytes);
    std::uint64_t const free_before{free_pages(node)};
    for (void*& block : blocks)
        block = env.allocate(node, bytes, 16);
    HV_CHECK(free_pages(node) == free_before); // All of them come from the blocks given back.
    for (void* const block : blocks)
        env.release(block, bytes);
}

} // namespace hv::test
