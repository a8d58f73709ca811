// Counts the instructions of the page allocator; to be run by scripts/bench-mm, under callgrind. Each case is a dump
// of its own, titled "CALLS;SIZE;CASE"; what is not counted by callgrind is printed.
#include "mm/page_allocator.hpp"
#include "tests/bench/mm/plain_buddy.hpp"

#if !__has_include(<valgrind/callgrind.h>)
#error "bench-mm needs valgrind; install it with: apt-get install valgrind"
#endif
#include <sys/mman.h>
#include <valgrind/callgrind.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace hv::bench {
namespace {

using mm::Order;
using mm::order_2m;
using mm::order_4k;

constexpr std::uint64_t gib = std::uint64_t{1} << 30;
constexpr unsigned calls = 512;
constexpr CpuId self{0};
constexpr NodeId home{0};

void require(bool holds, char const* what)
{
    if (holds)
        return;
    std::fprintf(stderr, "bench-mm: %s\n", what);
    std::exit(1);
}

// Calls of the kernel's code, like those of any other file: the call and what the caller has to put together counts.
[[gnu::noinline]] PhysAddr allocate(mm::PageAllocator& pages, Order order, mm::DomainAccount* owner)
{
    return *pages.allocate(self, {.order = order, .policy = mm::Policy::local, .node = home, .owner = owner});
}
template <unsigned order>
[[gnu::noinline]] PhysAddr allocate(mm::PageAllocator& pages, mm::DomainAccount* owner)
{
    return *pages.allocate(self, {.order = Order{order}, .policy = mm::Policy::local, .node = home, .owner = owner});
}
template <unsigned order>
[[gnu::noinline]] void release(mm::PageAllocator& pages, PhysAddr block)
{
    pages.free(self, block, Order{order});
}

template <typename Act>
void measure(unsigned gigabytes, std::string const& name, unsigned count, Act act)
{
    std::string const title{std::to_string(count) + ";" + std::to_string(gigabytes) + ";" + name};
    CALLGRIND_ZERO_STATS;
    CALLGRIND_TOGGLE_COLLECT;
    act();
    CALLGRIND_TOGGLE_COLLECT;
    CALLGRIND_DUMP_STATS_AT(title.c_str());
}

class BenchMachine {
public:
    explicit BenchMachine(unsigned gigabytes)
        : bytes_{gigabytes * gib},
          memory_{::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)}
    {
        require(memory_ != MAP_FAILED, "no address space");
        mm::MemoryBlock const block{.base = PhysAddr{0}, .length = bytes_, .node = home};
        bool const is_sound = early_
                                  .init({.blocks = {&block, 1},
                                         .direct_map = mm::DirectMap{reinterpret_cast<std::uintptr_t>(memory_)},
                                         .on_misuse = [](mm::MisuseReport const&) { require(false, "misuse"); }})
                                  .ok();
        measure(gigabytes, "build the allocator", 1, [&] { pages_ = *mm::PageAllocator::create(early_); });
        std::array<NodeId, 16> const pcpus{};
        require(is_sound && pages_->create_caches(pcpus).ok() && pages_->attach(account_).ok(), "no machine");
    }
    ~BenchMachine() { ::munmap(memory_, bytes_); }
    BenchMachine(BenchMachine const&) = delete;
    BenchMachine& operator=(BenchMachine const&) = delete;

    [[nodiscard]] mm::PageAllocator& pages() { return *pages_; }
    [[nodiscard]] mm::DomainAccount* account() { return &account_; }

private:
    std::uint64_t bytes_;
    void* memory_;
    mm::EarlyAllocator early_;
    mm::PageAllocator* pages_{nullptr};
    mm::DomainAccount account_{DomainId{1}};
};

// What a case costs without the allocator: two calls and a round of the loop.
template <unsigned order>
[[gnu::noinline]] PhysAddr no_block(mm::PageAllocator&, mm::DomainAccount* owner)
{
    asm volatile("" ::: "memory");
    return PhysAddr{reinterpret_cast<std::uintptr_t>(owner)};
}
[[gnu::noinline]] void no_release(mm::PageAllocator&, PhysAddr block) { asm volatile("" ::"r"(block) : "memory"); }

void empty_pair(BenchMachine& machine)
{
    measure(1, "empty alloc + free", calls, [&] {
        for (unsigned i = 0; i < calls; ++i)
            no_release(machine.pages(), no_block<0>(machine.pages(), machine.account()));
    });
}

// Take and give back at once: always served by the cache.
template <unsigned order>
void pair(BenchMachine& machine, unsigned gigabytes, std::string const& size)
{
    for (mm::DomainAccount* const owner : {machine.account(), static_cast<mm::DomainAccount*>(nullptr)}) {
        release<order>(machine.pages(), allocate<order>(machine.pages(), owner)); // The cache has one now.
        measure(gigabytes, size + " alloc + free, " + (owner != nullptr ? "a domain's" : "the kernel's"), calls, [&] {
            for (unsigned i = 0; i < calls; ++i)
                release<order>(machine.pages(), allocate<order>(machine.pages(), owner));
        });
    }
}

// Take many, then give them all back: each batch goes to the node's lists and comes from there.
template <unsigned order>
void batches(BenchMachine& machine, unsigned gigabytes, std::string const& size, unsigned count)
{
    std::vector<PhysAddr> taken(count);
    machine.pages().drain_caches();
    measure(gigabytes, size + " alloc with refills", count, [&] {
        for (PhysAddr& block : taken)
            block = allocate<order>(machine.pages(), machine.account());
    });
    std::shuffle(taken.begin(), taken.end(), std::mt19937{1});
    measure(gigabytes, size + " free with drains, shuffled", count, [&] {
        for (PhysAddr const block : taken)
            release<order>(machine.pages(), block);
    });
}

void straight_from_the_node(BenchMachine& machine, unsigned gigabytes)
{
    mm::Request const request{.node = home, .owner = machine.account()};
    measure(gigabytes, "4 KiB alloc + free, no cache", calls, [&] {
        for (unsigned i = 0; i < calls; ++i)
            machine.pages().free(*machine.pages().allocate(request), order_4k);
    });
}

// A third of half a gigabyte, page by page at random places, stays taken.
void splinter(BenchMachine& machine)
{
    std::vector<PhysAddr> taken;
    for (unsigned i = 0; i < 128 * 1024; ++i)
        taken.push_back(allocate(machine.pages(), order_4k, nullptr));
    std::shuffle(taken.begin(), taken.end(), std::mt19937{2});
    for (std::size_t i = taken.size() / 3; i < taken.size(); ++i)
        machine.pages().free(self, taken[i], order_4k);
}

void ours(unsigned gigabytes)
{
    BenchMachine machine{gigabytes};
    mm::NodeStats const stats{machine.pages().stats(home)};
    std::printf("metadata;%u;%.4f\n", gigabytes,
                100.0 * static_cast<double>(stats.reserved) / static_cast<double>(stats.present));
    if (gigabytes == 1)
        empty_pair(machine);
    pair<0>(machine, gigabytes, "4 KiB");
    pair<9>(machine, gigabytes, "2 MiB");
    batches<0>(machine, gigabytes, "4 KiB", 16 * calls);
    batches<9>(machine, gigabytes, "2 MiB", calls / 4);
    straight_from_the_node(machine, gigabytes);
    splinter(machine);
    batches<0>(machine, gigabytes, "4 KiB, splintered,", 16 * calls);
}

void yardstick(unsigned gigabytes)
{
    PlainBuddy buddy{static_cast<std::uint32_t>(gigabytes * gib / mm::page_size)};
    for (unsigned const order : {0u, 9u}) {
        std::string const size{order == 0 ? "4 KiB" : "2 MiB"};
        unsigned const count{order == 0 ? 16 * calls : calls / 4};
        std::vector<std::uint32_t> taken(count);
        measure(gigabytes, "plain buddy: " + size + " alloc + free", calls, [&] {
            for (unsigned i = 0; i < calls; ++i)
                buddy.free(buddy.allocate(order), order);
        });
        measure(gigabytes, "plain buddy: " + size + " alloc", count, [&] {
            for (std::uint32_t& block : taken)
                block = buddy.allocate(order);
        });
        std::shuffle(taken.begin(), taken.end(), std::mt19937{1});
        measure(gigabytes, "plain buddy: " + size + " free, shuffled", count, [&] {
            for (std::uint32_t const block : taken)
                buddy.free(block, order);
        });
    }
}

} // namespace
} // namespace hv::bench

int main()
{
    // Valgrind has no room for one machine of 64 GiB; what is flat to 32 is flat.
    for (unsigned const gigabytes : {1u, 4u, 32u}) {
        hv::bench::ours(gigabytes);
        if (gigabytes <= 4)
            hv::bench::yardstick(gigabytes);
    }
}
