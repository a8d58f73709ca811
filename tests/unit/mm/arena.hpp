// A machine's memory made of an anonymous mapping: physical address 0 is its first byte. Pages that nobody touches cost
// nothing, so a machine may have many gigabytes. Reports of misuse are collected instead of ending the process.
#pragma once

#include "mm/page_allocator.hpp"

#include "tests/support/literals.hpp"

#include <gtest/gtest.h>

#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hv::test {

inline constexpr std::uint64_t KiB = 1024;
inline constexpr std::uint64_t MiB = 1024 * KiB;
inline constexpr std::uint64_t GiB = 1024 * MiB;

[[nodiscard]] inline mm::MemoryBlock block(std::uint64_t base, std::uint64_t length, unsigned n)
{
    return {.base = PhysAddr{base}, .length = length, .node = node(n)};
}
[[nodiscard]] inline NodeMask set_of(std::initializer_list<unsigned> nodes)
{
    NodeMask set;
    for (unsigned const n : nodes)
        set.set(node(n));
    return set;
}

// Reports of this thread's tests; every TestMachine begins with none.
inline std::vector<mm::MisuseReport>& misuse()
{
    static std::vector<mm::MisuseReport> reports;
    return reports;
}

class Arena {
public:
    explicit Arena(std::uint64_t bytes)
        : bytes_{bytes},
          memory_{::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)}
    {
        if (memory_ == MAP_FAILED)
            std::abort();
        // Real memory is not zero at power-on: nobody may count on it.
        if (bytes <= 256 * MiB)
            std::memset(memory_, 0xA5, bytes);
    }
    ~Arena() { ::munmap(memory_, bytes_); }
    Arena(Arena const&) = delete;
    Arena& operator=(Arena const&) = delete;

    [[nodiscard]] mm::DirectMap map() const { return mm::DirectMap{reinterpret_cast<std::uintptr_t>(memory_)}; }

private:
    std::uint64_t bytes_;
    void* memory_;
};

class TestMachine {
public:
    explicit TestMachine(std::vector<mm::MemoryBlock> const& blocks, unsigned nodes,
                         std::vector<Distance> const& distances = {}, std::vector<mm::PhysRange> const& reserved = {},
                         mm::MachineMemory rules = {}, // of which only what concerns no single block counts
                         std::uint64_t room = 0)       // bytes above all blocks, for memory that comes later
        : arena_{size_of(blocks) + room}
    {
        misuse().clear();
        rules.blocks = blocks;
        rules.reserved = reserved;
        rules.nodes = nodes;
        rules.distances = distances;
        rules.direct_map = arena_.map();
        rules.on_misuse = [](mm::MisuseReport const& report) { misuse().push_back(report); };
        rules.max_domains = 64;
        Status<mm::BuildError> const status = early_->init(rules);
        if (!status)
            ADD_FAILURE() << "build fault " << static_cast<int>(status.error().fault);
    }

    // `count` nodes of `bytes` each, one after the other, 10/20 apart.
    [[nodiscard]] static std::vector<mm::MemoryBlock> even(unsigned count, std::uint64_t bytes)
    {
        std::vector<mm::MemoryBlock> blocks;
        for (unsigned n = 0; n < count; ++n)
            blocks.push_back(block(n * bytes, bytes, n));
        return blocks;
    }

    [[nodiscard]] mm::EarlyAllocator& early() { return *early_; }
    [[nodiscard]] mm::DirectMap map() const { return arena_.map(); }

    // Built at the first call.
    [[nodiscard]] mm::PageAllocator& pages()
    {
        if (pages_ == nullptr) {
            Result<mm::PageAllocator*, mm::BuildError> const built = mm::PageAllocator::create(*early_);
            HV_ASSERT(built.ok());
            pages_ = *built;
        }
        return *pages_;
    }
    [[nodiscard]] NodeId node_of(PhysAddr address) { return *pages().node_map().node_of(address); }

private:
    static std::uint64_t size_of(std::vector<mm::MemoryBlock> const& blocks)
    {
        std::uint64_t end{mm::page_size};
        for (mm::MemoryBlock const& each : blocks)
            end = each.end() > end ? each.end() : end;
        return end;
    }

    Arena arena_;
    std::unique_ptr<mm::EarlyAllocator> early_{std::make_unique<mm::EarlyAllocator>()};
    mm::PageAllocator* pages_{nullptr};
};

} // namespace hv::test
