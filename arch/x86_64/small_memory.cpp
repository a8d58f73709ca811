#include "arch/x86_64/small_memory.hpp"

#include "arch/generic/assert.hpp"
#include "arch/generic/ticket_lock.hpp"
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/layout.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <utility>

namespace hv::arch {
namespace {

constexpr std::size_t smallest = 16;
constexpr unsigned class_count = 8; // 16 to 2048 bytes
constexpr std::size_t node_limit = 64;

struct FreeBlock {
    FreeBlock* next;
};

class NodePool {
public:
    constexpr explicit NodePool(NodeId node) : lock_{LockKey{small_memory_lock_rank, node.value()}} {}

    [[nodiscard]] void* take(unsigned size_class)
    {
        Guard const guard{lock_, irqs_off};
        return pop(size_class);
    }

    // The page becomes blocks of this pool, and one of them is taken.
    [[nodiscard]] void* split(PhysAddr page, unsigned size_class)
    {
        Guard const guard{lock_, irqs_off};
        auto* const bytes = direct_map<std::byte>(page);
        std::size_t const step{smallest << size_class};
        for (std::size_t at = page_size; at > 0; at -= step) // so that the lowest block is the first to go
            free_[size_class] = ::new (bytes + at - step) FreeBlock{free_[size_class]};
        return pop(size_class);
    }

    void put(void* memory, unsigned size_class)
    {
        Guard const guard{lock_, irqs_off};
        free_[size_class] = ::new (memory) FreeBlock{free_[size_class]};
    }

private:
    void* pop(unsigned size_class) HV_REQUIRES(lock_)
    {
        FreeBlock* const block{free_[size_class]};
        if (block != nullptr)
            free_[size_class] = block->next;
        return block;
    }

    TicketLock lock_;
    std::array<FreeBlock*, class_count> free_ HV_GUARDED_BY(lock_){};
};

template <std::size_t... node>
constexpr std::array<NodePool, node_limit> make_pools(std::index_sequence<node...>)
{
    return {NodePool{NodeId{static_cast<NodeId::Rep>(node)}}...};
}
constinit std::array<NodePool, node_limit> pools{make_pools(std::make_index_sequence<node_limit>())};

std::size_t rounded(std::size_t bytes, std::size_t align)
{
    HV_ASSERT(bytes > 0 && std::has_single_bit(align) && align <= page_size);
    std::size_t const size{bytes > align ? bytes : align};
    return std::bit_ceil(size > smallest ? size : smallest);
}

unsigned class_of(std::size_t size)
{
    return static_cast<unsigned>(std::countr_zero(size) - std::countr_zero(smallest));
}
unsigned order_of(std::size_t size)
{
    return static_cast<unsigned>(std::countr_zero(size) - std::countr_zero(page_size));
}

// A node without memory gets another's. Its blocks belong to the pool of where they lie, as release_memory() gives them
// back there, and are looked for there; or every one would cost a new page.
void* take_block(NodeId node, unsigned size_class)
{
    if (void* const block = pools[node.value()].take(size_class))
        return block;
    std::optional<PhysAddr> const page{allocate_pages(node, 0)};
    if (!page)
        return nullptr;
    NodeId const home{node_of_page(*page)};
    if (home != node) {
        if (void* const block = pools[home.value()].take(size_class)) {
            release_pages(*page, 0);
            return block;
        }
    }
    return pools[home.value()].split(*page, size_class);
}

} // namespace

void* allocate_memory(NodeId node, std::size_t bytes, std::size_t align) noexcept
{
    std::size_t const size{rounded(bytes, align)};
    IrqSave const irqs;
    void* memory{nullptr};
    if (size >= page_size) {
        if (std::optional<PhysAddr> const pages{allocate_pages(node, order_of(size))})
            memory = direct_map<void>(*pages);
    } else {
        memory = take_block(node, class_of(size));
    }
    if (memory != nullptr)
        std::memset(memory, 0, bytes);
    return memory;
}

void release_memory(void* memory, std::size_t bytes, std::size_t align) noexcept
{
    std::size_t const size{rounded(bytes, align)};
    IrqSave const irqs;
    PhysAddr const physical{physical_of(memory)};
    if (size >= page_size)
        return release_pages(physical, order_of(size));
    pools[node_of_page(PhysAddr{physical.value() & ~(page_size - 1)}).value()].put(memory, class_of(size));
}

} // namespace hv::arch
