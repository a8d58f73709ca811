#include "mm/address_space.hpp"

#include "arch/generic/assert.hpp"

#include <arch/cpu.hpp>

#include <cstring>

namespace hv::mm {

// For calls that only look or add.
class HV_SCOPED_CAPABILITY AddressSpace::Turn {
public:
    [[nodiscard]] Turn(AddressSpace& space, CpuId self) HV_ACQUIRE(space.lock_) : space_{space} { space.lock(self); }
    ~Turn() HV_RELEASE() { space_.lock_.unlock(); }
    Turn(Turn const&) = delete;
    Turn& operator=(Turn const&) = delete;

private:
    AddressSpace& space_;
};

AddressSpace::AddressSpace(Home const& home) : home_{home}, loaded_on_{home.pcpus} {}

// The owner may be waiting for this pCPU to forget something.
void AddressSpace::lock(CpuId self) HV_NO_THREAD_SAFETY_ANALYSIS
{
    HV_ASSERT_SLOW(arch::irqs_are_off() && arch::held_locks().none());
    while (!lock_.try_lock()) {
        home_.shoot_down->serve(self);
        arch::relax();
    }
}

Result<PhysAddr, AllocError> AddressSpace::take_table(CpuId self)
{
    Result<PhysAddr, AllocError> const page{
        home_.pages->allocate(self, {.policy = Policy::local, .node = home_.node, .owner = home_.owner})};
    if (page)
        std::memset(home_.pages->direct_map().at<void>(*page), 0, page_size);
    return page;
}

Status<AllocError> AddressSpace::build(CpuId self)
{
    Turn const turn{*this, self};
    HV_ASSERT(root_ == PhysAddr{});
    Result<PhysAddr, AllocError> const page{take_table(self)};
    if (!page)
        return fail(page.error());
    constexpr std::size_t half = page_size / 2;
    DirectMap const map{home_.pages->direct_map()};
    std::memcpy(map.at<char>(*page) + half, map.at<char>(home_.kernel_root) + half, half);
    root_ = *page;
    table_pages_ = 1;
    return done;
}

void AddressSpace::demolish(CpuId self, PageSink sink)
{
    Turn const turn{*this, self};
    HV_ASSERT(root_ != PhysAddr{} && loaded_on_.members().empty());
    VirtRange const all{VirtAddr{user_start}, user_end - user_start};
    tree().retire_all();
    sweep(self, all, sink);
    HV_ASSERT(table_pages_ == 1);
    home_.pages->free(self, root_, order_4k);
    root_ = PhysAddr{};
    table_pages_ = 0;
}

bool AddressSpace::fill(CpuId self, TableStock& stock, std::uint64_t count)
{
    while (stock.count() < count) {
        Result<PhysAddr, AllocError> const page{take_table(self)};
        if (!page)
            return false;
        stock.put(*page);
    }
    return true;
}

Status<MapError> AddressSpace::map(CpuId self, Mapping const& mapping)
{
    Turn const turn{*this, self};
    HV_ASSERT(root_ != PhysAddr{});
    if (!mapping.at.is_valid() || mapping.to.value() % page_size != 0 ||
        mapping.to.value() > physical_limit - mapping.at.bytes)
        return fail(MapError::bad_range);
    Result<std::uint64_t, MapError> const needed{tree().tables_needed(mapping)};
    if (!needed)
        return fail(needed.error());
    TableStock stock{home_.pages->direct_map()};
    if (!fill(self, stock, *needed)) {
        while (stock.count() > 0)
            home_.pages->free(self, stock.take(), order_4k);
        return fail(MapError::no_memory);
    }
    tree().map(mapping, stock);
    HV_ASSERT(stock.count() == 0);
    table_pages_ += *needed;
    return done;
}

std::optional<Translation> AddressSpace::translate(CpuId self, VirtAddr address)
{
    Turn const turn{*this, self};
    return tree().find(address);
}

std::uint64_t AddressSpace::table_pages(CpuId self)
{
    Turn const turn{*this, self};
    return table_pages_;
}

void AddressSpace::sweep(CpuId self, VirtRange range, PageSink sink)
{
    lock_.assert_held();
    std::uint64_t tables{0};
    tree().sweep(
        range,
        [&](PhysAddr page, Order order) {
            if (sink.take != nullptr)
                sink.take(sink.self, self, page, order);
        },
        [&](PhysAddr table) {
            home_.pages->free(self, table, order_4k);
            ++tables;
        });
    table_pages_ -= tables;
}

// Enter first, leave last: in between it is told about both, which does no harm.
void AddressSpace::switch_between(CpuId self, AddressSpace* from, AddressSpace* to, PhysAddr kernel_root,
                                  void (*load)(PhysAddr root) noexcept)
{
    HV_ASSERT_SLOW(arch::irqs_are_off());
    if (from == to)
        return;
    if (to != nullptr)
        to->loaded_on_.enter(self);
    load(to != nullptr ? to->root_ : kernel_root);
    if (from != nullptr)
        from->loaded_on_.leave(self);
}

AddressSpace::Change::Change(AddressSpace& space, CpuId self, PageSink sink) : space_{space}, self_{self}, sink_{sink}
{
    space.lock(self);
}

Status<MapError> AddressSpace::Change::check(VirtRange range) const
{
    if (!range.is_valid())
        return fail(MapError::bad_range);
    return space_.tree().check(range);
}

Status<MapError> AddressSpace::Change::unmap(VirtRange range)
{
    if (Status<MapError> const checked{check(range)}; !checked)
        return checked;
    space_.tree().retire(range, stale_);
    lowest_ = range.from.value() < lowest_ ? range.from.value() : lowest_;
    highest_ = range.end() > highest_ ? range.end() : highest_;
    return done;
}

Status<MapError> AddressSpace::Change::protect(VirtRange range, Access access)
{
    if (Status<MapError> const checked{check(range)}; !checked)
        return checked;
    space_.tree().protect(range, access, stale_);
    return done;
}

AddressSpace::Change::~Change() HV_NO_THREAD_SAFETY_ANALYSIS
{
    if (!stale_.is_empty())
        space_.home_.shoot_down->run(self_, space_.loaded_on_.members(), stale_);
    if (highest_ > lowest_)
        space_.sweep(self_, {VirtAddr{lowest_}, highest_ - lowest_}, sink_);
    space_.lock_.unlock();
}

} // namespace hv::mm
