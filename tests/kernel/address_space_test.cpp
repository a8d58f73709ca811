// Address spaces over the machine's real memory and its real translation buffers.
#include "mm/address_space.hpp"

#include "arch/x86_64/call.hpp"
#include "arch/x86_64/exceptions.hpp"
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/kernel_space.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/tlb.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

#include <array>
#include <atomic>

namespace hv::test {
namespace {

constexpr std::uint64_t base = 0x4000'0000;
constexpr std::uint64_t large = std::uint64_t{2} << 20;

mm::AddressSpace::Home home_on(NodeId node)
{
    return {.pages = boot::kernel().pages,
            .shoot_down = &arch::shoot_down(),
            .pcpus = arch::pcpu_count(),
            .kernel_root = arch::kernel_space().root(),
            .node = node};
}

// Writes to ring 3's memory, on purpose.
class UserAccess {
public:
    UserAccess()
    {
        if (is_guarded())
            asm volatile("stac" ::: "memory");
    }
    ~UserAccess()
    {
        if (is_guarded())
            asm volatile("clac" ::: "memory");
    }
    UserAccess(UserAccess const&) = delete;
    UserAccess& operator=(UserAccess const&) = delete;

private:
    static bool is_guarded() { return (arch::read_cr4() >> 21 & 1) != 0; }
};

std::uint64_t volatile* word_at(std::uint64_t address) { return reinterpret_cast<std::uint64_t volatile*>(address); }

// An address space that is built, and pages for it.
class Space {
public:
    explicit Space(NodeId node = arch::this_percpu().node) : space_{home_on(node)}
    {
        arch::IrqSave const irqs;
        built_ = space_.build(arch::this_cpu()).ok();
    }
    ~Space()
    {
        arch::IrqSave const irqs;
        if (built_)
            space_.demolish(arch::this_cpu(), sink());
    }
    Space(Space const&) = delete;
    Space& operator=(Space const&) = delete;

    [[nodiscard]] mm::AddressSpace& operator*() { return space_; }
    [[nodiscard]] bool is_built() const { return built_; }
    [[nodiscard]] unsigned given() const { return given_.load(); }

    // New pages, which hold their addresses. Interrupts off.
    [[nodiscard]] bool map(std::uint64_t address, mm::Order order = mm::order_4k, Access access = Access::read_write)
    {
        Result<PhysAddr, mm::AllocError> const page{
            boot::kernel().pages->allocate(arch::this_cpu(), {.order = order, .node = space_.node()})};
        if (!page)
            return false;
        *arch::direct_map<std::uint64_t volatile>(*page) = address;
        return space_.map(arch::this_cpu(), {{VirtAddr{address}, order.bytes()}, *page, access}).ok();
    }
    [[nodiscard]] mm::PageSink sink()
    {
        return {.self = this, .take = [](void* self, CpuId cpu, PhysAddr page, mm::Order order) noexcept {
                    static_cast<Space*>(self)->given_.fetch_add(1);
                    *arch::direct_map<std::uint64_t volatile>(page) = 0; // somebody else's from here on
                    boot::kernel().pages->free(cpu, page, order);
                }};
    }

private:
    mm::AddressSpace space_;
    bool built_{false};
    std::atomic<unsigned> given_{0};
};

// Loads it on the calling pCPU. Interrupts off at both ends.
class Loaded {
public:
    explicit Loaded(mm::AddressSpace& space) : space_{space} { go(nullptr, &space_); }
    ~Loaded() { go(&space_, nullptr); }
    Loaded(Loaded const&) = delete;
    Loaded& operator=(Loaded const&) = delete;

private:
    static void go(mm::AddressSpace* from, mm::AddressSpace* to)
    {
        mm::AddressSpace::switch_between(arch::this_cpu(), from, to, arch::kernel_space().root(),
                                         arch::load_page_tables);
    }

    mm::AddressSpace& space_;
};

void read_base(void*) { static_cast<void>(*word_at(base)); }
void write_base(void*) { *word_at(base) = 1; }

struct Fault {
    bool faulted;
    std::uint64_t error_code;
    friend bool operator==(Fault const&, Fault const&) = default;
};
Fault try_to(void (*function)(void*))
{
    UserAccess const user;
    arch::FaultOutcome const outcome{arch::expect_fault(arch::Vector::page_fault, function, nullptr)};
    return {outcome.faulted, outcome.error_code};
}

} // namespace

HV_SELFTEST(address_space_tables_lie_on_the_home_node)
{
    for (NodeId const node : boot::kernel().pages->usable()) {
        std::uint64_t const before{free_pages(node)};
        {
            Space space{node};
            HV_CHECK(space.is_built());
            arch::IrqSave const irqs;
            HV_CHECK(space.map(base));
            HV_CHECK(arch::node_of_page((*space).root()) == node);
            std::uint64_t const first{arch::direct_map<std::uint64_t>((*space).root())[0]};
            HV_CHECK(arch::node_of_page(paging::table_of(first)) == node);
            HV_CHECK((*space).table_pages(arch::this_cpu()) == 4);
        }
        HV_CHECK(free_pages(node) == before);
    }
}

HV_SELFTEST(address_space_is_what_the_processor_sees)
{
    Space space;
    HV_CHECK(space.is_built());
    arch::IrqSave const irqs;
    CpuId const self{arch::this_cpu()};
    HV_CHECK(space.map(base) && space.map(base + large, mm::order_2m));
    Loaded const loaded{*space};
    {
        UserAccess const user;
        HV_CHECK(*word_at(base) == base && *word_at(base + large) == base + large);
        *word_at(base + 2 * large - 8) = 17;
        HV_CHECK(*word_at(base + 2 * large - 8) == 17);
    }
    // Rights and mappings change at once, though the processor remembers what was.
    HV_CHECK(try_to(write_base) == (Fault{false, 0}));
    {
        mm::AddressSpace::Change change{*space, self, space.sink()};
        HV_CHECK(change.protect({VirtAddr{base}, mm::page_size}, Access::read).ok());
    }
    HV_CHECK(try_to(read_base) == (Fault{false, 0}));
    HV_CHECK(try_to(write_base) == (Fault{true, 3})); // present, write
    {
        mm::AddressSpace::Change change{*space, self, space.sink()};
        HV_CHECK(change.unmap({VirtAddr{base}, mm::page_size}).ok());
    }
    HV_CHECK(try_to(read_base) == (Fault{true, 0}));
    HV_CHECK(space.given() == 1);
}

namespace {

// Interrupts come behind the nop. The pause, where another pCPU gets its turn, is between them and the next use: who
// does not wait for this pCPU is seen.
void take_interrupts_and_turns()
{
    asm volatile("sti; nop; cli" ::: "memory");
    arch::relax();
}

// Real threads of a busy host take milliseconds for what is nothing where instructions are counted.
unsigned rounds_of(unsigned rounds) { return boot::kernel().options.khz == 1'000'000 ? rounds : rounds / 8 + 1; }

// pCPU 0 (whichever calls) takes pages away that all the others read all the time.
struct Duel {
    static constexpr unsigned pages = 8;
    unsigned const rounds{rounds_of(40)};

    Space& space;
    CpuId changer;
    std::atomic<unsigned> ready{0};
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> stale{0}, reads{0}, faults{0};
    std::uint64_t interrupts{0};
    unsigned failures{0};
};

struct Reader {
    Duel& duel;
    std::uint64_t address;
    std::uint64_t found{0};
};

// The page's address, or 0 if it went back already: then a stale translation was used.
void read_page(void* argument)
{
    Reader& reader{*static_cast<Reader*>(argument)};
    reader.found = *word_at(reader.address);
}

void keep_reading(Duel& duel)
{
    Loaded const loaded{*duel.space};
    duel.ready.fetch_add(1);
    for (unsigned i = 0; !duel.over.load(); ++i) {
        take_interrupts_and_turns();
        Reader reader{duel, base + i / 4 % Duel::pages * mm::page_size}; // four times each: remembered from the first
        UserAccess const user;
        if (arch::expect_fault(arch::Vector::page_fault, read_page, &reader).faulted) {
            duel.faults.fetch_add(1);
            continue;
        }
        duel.reads.fetch_add(1);
        if (reader.found != reader.address)
            duel.stale.fetch_add(1);
    }
}

void keep_changing(Duel& duel)
{
    while (duel.ready.load() != pcpus_up() - 1)
        take_interrupts_and_turns();
    std::uint64_t const before{arch::shoot_down().interrupts()};
    for (unsigned round = 0; round < duel.rounds; ++round) {
        take_interrupts_and_turns();
        for (unsigned i = 0; i < Duel::pages; ++i)
            duel.failures += duel.space.map(base + i * mm::page_size) ? 0u : 1u;
        std::uint64_t const reads{duel.reads.load()};
        while (duel.reads.load() < reads + 2 * pcpus_up())
            take_interrupts_and_turns();
        mm::AddressSpace::Change change{*duel.space, arch::this_cpu(), duel.space.sink()};
        duel.failures += change.unmap({VirtAddr{base}, Duel::pages * mm::page_size}).ok() ? 0u : 1u;
    }
    duel.interrupts = arch::shoot_down().interrupts() - before;
    duel.over.store(true);
}

void fight(void* argument)
{
    Duel& duel{*static_cast<Duel*>(argument)};
    if (arch::this_cpu() == duel.changer)
        keep_changing(duel);
    else
        keep_reading(duel);
}

} // namespace

HV_SELFTEST(address_space_no_pcpu_uses_what_was_unmapped)
{
    if (pcpus_up() == 1)
        HV_SKIP("takes two pCPUs");
    Space space;
    HV_CHECK(space.is_built());
    Duel duel{.space = space, .changer = arch::this_cpu()};
    arch::call_on_all(fight, &duel);
    HV_CHECK(duel.failures == 0);
    HV_CHECK(duel.stale.load() == 0);
    HV_CHECK(duel.reads.load() > duel.rounds && space.given() == duel.rounds * Duel::pages);
    // One for each pCPU and batch, not one a page.
    HV_CHECK(duel.interrupts == std::uint64_t{duel.rounds} * (pcpus_up() - 1));
}

namespace {

// All pCPUs change at once, with interrupts off: who waits must serve.
struct Melee {
    unsigned const rounds{rounds_of(10)};

    Space& space;
    std::atomic<unsigned> failures{0};
};

void change_own_page(void* argument)
{
    Melee& melee{*static_cast<Melee*>(argument)};
    std::uint64_t const address{base + arch::this_cpu().value() * large};
    Loaded const loaded{*melee.space};
    for (unsigned round = 0; round < melee.rounds; ++round) {
        take_interrupts_and_turns();
        bool right{melee.space.map(address)};
        {
            UserAccess const user;
            right = right && *word_at(address) == address;
        }
        mm::AddressSpace::Change change{*melee.space, arch::this_cpu(), melee.space.sink()};
        right = right && change.unmap({VirtAddr{address}, mm::page_size}).ok();
        melee.failures.fetch_add(right ? 0u : 1u);
    }
}

} // namespace

HV_SELFTEST(address_space_all_pcpus_change_it_at_once)
{
    Space space;
    HV_CHECK(space.is_built());
    Melee melee{.space = space};
    arch::call_on_all(change_own_page, &melee);
    HV_CHECK(melee.failures.load() == 0);
    HV_CHECK(space.given() == melee.rounds * pcpus_up());
}

// Every allocation that building one takes fails in turn: a clear error, and nothing is lost.
HV_SELFTEST(address_space_that_finds_no_memory_leaves_none_behind)
{
    NodeId const node{arch::this_percpu().node};
    std::uint64_t const before{free_pages(node)};
    unsigned failures{0};
    for (unsigned n = 1; n < 8; ++n) {
        arch::IrqSave const irqs;
        mm::AddressSpace space{home_on(node)};
        boot::kernel().pages->injection().fail_nth(n);
        bool const built{space.build(arch::this_cpu()).ok()};
        Status<mm::MapError> const mapped{
            built ? space.map(arch::this_cpu(), {{VirtAddr{base}, large}, PhysAddr{mm::page_size}, Access::read})
                  : Status<mm::MapError>{fail(mm::MapError::no_memory)}};
        boot::kernel().pages->injection().turn_off();
        failures += mapped ? 0u : 1u;
        HV_CHECK(mapped.ok() || mapped.error() == mm::MapError::no_memory);
        if (built)
            HV_CHECK(mapped.ok() || space.table_pages(arch::this_cpu()) == 1);
        if (built)
            space.demolish(arch::this_cpu(), {});
    }
    HV_CHECK(failures > 0 && failures <= 4);
    HV_CHECK(free_pages(node) == before);
}

} // namespace hv::test
