// Meant for ThreadSanitizer: threads as pCPUs that keep translations, as processors do, while others take the pages
// away. No thread may reach a page, or a table, that has gone back to the allocator.
#include "mm/address_space.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace hv::mm {
namespace {

using test::cpu;
using test::MiB;
using test::node;
using test::TestMachine;

// Two of them change the first address space, half of it each; the third changes the second, so that a pCPU may be
// asked to forget by two at once.
constexpr unsigned changers = 3, users = 2, pcpu_total = changers + users;
constexpr unsigned slots = 24;
constexpr std::uint64_t nobodys = 0;

// Pages of several tables, so that tables come and go, too.
std::uint64_t address_of_slot(unsigned slot)
{
    return 64 * MiB + slot % 4 * page_size + slot / 4 % 3 * 2 * MiB + slot / 12 * (std::uint64_t{1} << 30);
}
std::uint64_t tag_of(unsigned space, unsigned slot) { return 1000 * (space + 1) + slot; }

struct Pcpu {
    struct Cached {
        std::uint64_t address{0};
        PhysAddr page;
    };

    void forget(Invalidation const& what)
    {
        for (Cached& each : cached)
            if (what.is_everything())
                each = {};
            else
                for (unsigned i = 0; i < what.count(); ++i)
                    if (each.address == what.page(i).value())
                        each = {};
    }

    std::array<Cached, slots> cached{};
    std::optional<unsigned> loaded; // which address space
    ShootDown::Inbox inbox;
    std::atomic<bool> interrupted{false};
};

thread_local Pcpu* me{nullptr};

void load_root(PhysAddr) noexcept { me->forget(Invalidation::of_everything()); }

class Machine {
public:
    Machine()
    {
        for (AddressSpace& space : spaces)
            EXPECT_TRUE(space.build(cpu(0)).ok());
    }

    // What happens between two instructions.
    void take_interrupts(unsigned self)
    {
        if (me->interrupted.exchange(false, std::memory_order_acquire))
            shoot_down.serve(cpu(self));
    }
    void go_to(unsigned self, std::optional<unsigned> to)
    {
        auto const pointer = [this](std::optional<unsigned> n) { return n ? &spaces[*n] : nullptr; };
        AddressSpace::switch_between(cpu(self), pointer(me->loaded), pointer(to), kernel_root, load_root);
        me->loaded = to;
    }
    void go_anywhere(unsigned self, std::mt19937& random)
    {
        unsigned const to{static_cast<unsigned>(random() % 3)};
        go_to(self, to < 2 ? std::optional{to} : std::nullopt);
    }

    // One load of a user's: from what the pCPU remembers, or else by a walk.
    void use(unsigned slot)
    {
        if (!me->loaded)
            return;
        std::uint64_t const address{address_of_slot(slot)};
        Pcpu::Cached& cached{me->cached[slot]};
        bool const remembered = cached.address == address;
        if (!remembered) {
            auto const base = reinterpret_cast<std::uint64_t>(memory.map().at<char>(PhysAddr{0}));
            std::optional<Translation> const found{paging::find(base, spaces[*me->loaded].root(), VirtAddr{address})};
            if (!found)
                return;
            cached = {address, found->physical};
        }
        if (word_of(cached.page).load(std::memory_order_relaxed) != tag_of(*me->loaded, slot))
            stale.fetch_add(1, std::memory_order_relaxed);
        (remembered ? from_memory : walks).fetch_add(1, std::memory_order_relaxed);
    }

    void map(unsigned self, unsigned space, unsigned slot)
    {
        Result<PhysAddr, AllocError> const page = memory.pages().allocate({.node = node(0)});
        ASSERT_TRUE(page.ok());
        word_of(*page).store(tag_of(space, slot), std::memory_order_relaxed);
        ASSERT_TRUE(spaces[space]
                        .map(cpu(self), {{VirtAddr{address_of_slot(slot)}, page_size}, *page, Access::read_write})
                        .ok());
    }
    static void take_page(void* self, CpuId, PhysAddr page, Order order) noexcept
    {
        auto& machine = *static_cast<Machine*>(self);
        machine.word_of(page).store(nobodys, std::memory_order_relaxed);
        machine.memory.pages().free(page, order);
    }

    [[nodiscard]] std::atomic_ref<std::uint64_t> word_of(PhysAddr page)
    {
        return std::atomic_ref{memory.map().at<std::uint64_t>(page)[64]};
    }

    TestMachine memory{TestMachine::even(1, 4 * MiB), 1};
    PhysAddr kernel_root{*memory.pages().allocate({.node = node(0)})};
    std::array<std::unique_ptr<Pcpu>, pcpu_total> pcpus{[] {
        std::array<std::unique_ptr<Pcpu>, pcpu_total> made;
        for (auto& each : made)
            each = std::make_unique<Pcpu>();
        return made;
    }()};
    ShootDown shoot_down{{.self = this,
                          .inbox = [](void* self, CpuId n) noexcept -> ShootDown::Inbox& {
                              return static_cast<Machine*>(self)->pcpus[n.value()]->inbox;
                          },
                          .interrupt =
                              [](void* self, CpuId n) noexcept {
                                  static_cast<Machine*>(self)->pcpus[n.value()]->interrupted.store(
                                      true, std::memory_order_release);
                              },
                          .invalidate = [](void*, Invalidation const& what) noexcept { me->forget(what); }}};
    AddressSpace::Home home{
        .pages = &memory.pages(), .shoot_down = &shoot_down, .pcpus = pcpu_total, .kernel_root = kernel_root};
    std::array<AddressSpace, 2> spaces{AddressSpace{home}, AddressSpace{home}};
    std::atomic<unsigned> changers_done{0};
    std::atomic<std::uint64_t> stale{0}, from_memory{0}, walks{0}, batches{0};
};

// Maps and unmaps its own slots; uses all of them, too.
void change(Machine& machine, unsigned self, unsigned goal)
{
    unsigned const space{self / 2}, step{space == 0 ? 2u : 1u};
    me = machine.pcpus[self].get();
    std::mt19937 random{self};
    std::array<bool, slots> mapped{};
    for (unsigned i = 0; i < goal; ++i) {
        for (unsigned slot = self % step; slot < slots; slot += step)
            if (!std::exchange(mapped[slot], true))
                machine.map(self, space, slot);
        machine.go_anywhere(self, random);
        for (unsigned n = 0; n < 8; ++n) {
            machine.take_interrupts(self);
            machine.use(static_cast<unsigned>(random() % slots));
        }
        AddressSpace::Change change{machine.spaces[space], cpu(self), {&machine, Machine::take_page}};
        for (unsigned slot = self % step; slot < slots; slot += step)
            if (random() % 2 == 0) {
                ASSERT_TRUE(change.unmap({VirtAddr{address_of_slot(slot)}, page_size}).ok());
                mapped[slot] = false;
            }
        machine.batches.fetch_add(1, std::memory_order_relaxed);
    }
    machine.go_to(self, std::nullopt);
    machine.changers_done.fetch_add(1);
    while (machine.changers_done.load() < changers) {
        machine.take_interrupts(self);
        arch::relax();
    }
}

void use(Machine& machine, unsigned self)
{
    me = machine.pcpus[self].get();
    std::mt19937 random{self};
    while (machine.changers_done.load(std::memory_order_relaxed) < changers) {
        machine.take_interrupts(self);
        machine.use(static_cast<unsigned>(random() % slots));
        if (random() % 64 == 0)
            arch::relax(); // Somebody may be waiting, and this host has few pCPUs.
        if (random() % 512 == 0)
            machine.go_anywhere(self, random);
    }
    machine.go_to(self, std::nullopt);
}

TEST(AddressSpaceStress, NobodyReachesAPageThatHasGoneBack)
{
    constexpr unsigned goal = 1000;
    Machine machine;
    std::vector<std::thread> threads;
    for (unsigned self = 0; self < changers; ++self)
        threads.emplace_back([&machine, self] { change(machine, self, goal); });
    for (unsigned self = changers; self < pcpu_total; ++self)
        threads.emplace_back([&machine, self] { use(machine, self); });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(machine.stale.load(), 0u);
    EXPECT_EQ(machine.batches.load(), changers * goal);
    // It was about something: translations were remembered, and others had to be made to forget them.
    EXPECT_GT(machine.from_memory.load(), 10'000u);
    EXPECT_GT(machine.walks.load(), 1'000u);
    EXPECT_GT(machine.shoot_down.interrupts(), changers * goal / 4);
    EXPECT_LE(machine.shoot_down.interrupts(), changers * goal * (pcpu_total - 1));
    for (AddressSpace& space : machine.spaces)
        space.demolish(cpu(0), {&machine, Machine::take_page});
    machine.memory.pages().free(machine.kernel_root, order_4k);
    EXPECT_TRUE(machine.memory.pages().is_consistent());
    EXPECT_TRUE(test::misuse().empty());
}

} // namespace
} // namespace hv::mm
