// TLB shoot-down: making pCPUs forget translations that are no longer true, with one interrupt a pCPU for a whole
// batch.
//
// Each pCPU has an inbox. Who changed page tables leaves there what is to be forgotten and takes a number, interrupts
// the pCPU, and waits until its numbers are served. A pCPU that finds several requests at once forgets everything. Who
// waits serves its own inbox meanwhile, so pCPUs may shoot at each other; so must everybody who waits, with interrupts
// off, for somebody who may be in run().
//
// An Invalidation belongs to the caller of run() until that returns. PcpuSet says who is to be told: unlike
// AtomicCpuMask it never hides a member, and it orders itself with the tables (see its members).
//
// Locking: none; atomics. In run() no lock may be held whose waiters do not serve, or two pCPUs wait for each other.
// Floor: arch/generic.
#pragma once

#include "arch/generic/assert.hpp"
#include "arch/generic/mask.hpp"
#include "arch/generic/types.hpp"

#include <arch/cpu.hpp>
#include <arch/irq.hpp>

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace hv {

// Which pages to forget, by an address in each; or all there are.
class Invalidation {
public:
    // Beyond, starting anew is cheaper than one instruction a page.
    static constexpr unsigned most_pages = 32;

    constexpr Invalidation() = default;
    [[nodiscard]] static constexpr Invalidation of_everything()
    {
        Invalidation all;
        all.count_ = most_pages + 1;
        return all;
    }

    constexpr void add(VirtAddr page)
    {
        if (count_ < most_pages)
            pages_[count_] = page;
        if (count_ <= most_pages)
            ++count_;
    }
    [[nodiscard]] constexpr bool is_empty() const { return count_ == 0; }
    [[nodiscard]] constexpr bool is_everything() const { return count_ > most_pages; }
    // Not of everything.
    [[nodiscard]] constexpr unsigned count() const
    {
        HV_ASSERT(!is_everything());
        return count_;
    }
    [[nodiscard]] constexpr VirtAddr page(unsigned i) const
    {
        HV_ASSERT(i < count());
        return pages_[i];
    }

private:
    std::array<VirtAddr, most_pages> pages_{};
    unsigned count_{0};
};

// A set of pCPUs that each of them enters before it uses something and leaves when it has stopped to.
class PcpuSet {
public:
    constexpr explicit PcpuSet(unsigned pcpus) : words_used_{(pcpus + word_bits - 1) / word_bits}
    {
        HV_ASSERT(pcpus <= CpuMask::capacity);
    }
    PcpuSet(PcpuSet const&) = delete;
    PcpuSet& operator=(PcpuSet const&) = delete;

    // acquire: members() either sees the newcomer or came before it, and then the newcomer sees what was changed before
    // members(). release: what was done before leave() is over for who sees it.
    void enter(CpuId cpu) { word(cpu).fetch_or(bit_of(cpu), std::memory_order_acq_rel); }
    void leave(CpuId cpu) { word(cpu).fetch_and(~bit_of(cpu), std::memory_order_acq_rel); }
    [[nodiscard]] bool contains(CpuId cpu) const
    {
        return (words_[cpu.value() / word_bits].load(std::memory_order_acquire) & bit_of(cpu)) != 0;
    }

    // Every pCPU that may have seen what was there before the caller's last changes. A read-modify-write that changes
    // nothing: it has a place in the order of enter() and leave(), which a load has not.
    [[nodiscard]] CpuMask members()
    {
        CpuMask result;
        for (unsigned i = 0; i < words_used_; ++i)
            for (std::uint64_t rest = words_[i].fetch_or(0, std::memory_order_acq_rel); rest != 0; rest &= rest - 1)
                result.set(
                    CpuId{static_cast<CpuId::Rep>(i * word_bits + static_cast<unsigned>(std::countr_zero(rest)))});
        return result;
    }

private:
    static constexpr std::uint64_t bit_of(CpuId cpu) { return std::uint64_t{1} << cpu.value() % word_bits; }
    [[nodiscard]] std::atomic<std::uint64_t>& word(CpuId cpu)
    {
        HV_ASSERT(cpu.value() / word_bits < words_used_);
        return words_[cpu.value() / word_bits];
    }

    unsigned const words_used_;
    std::array<std::atomic<std::uint64_t>, CpuMask::capacity / word_bits> words_{};
};

class ShootDown {
public:
    // One a pCPU, in its own memory if possible.
    struct alignas(arch::cache_line) Inbox {
        std::atomic<Invalidation const*> what{nullptr};
        std::atomic<std::uint64_t> requested{0};
        std::atomic<std::uint64_t> served{0};
    };

    // What it needs of the machine.
    struct Machine {
        void* self{nullptr};
        Inbox& (*inbox)(void* self, CpuId cpu) noexcept {nullptr};
        // Makes the pCPU call serve(), soon; several may be merged if none is under way.
        void (*interrupt)(void* self, CpuId cpu) noexcept {nullptr};
        // On the calling pCPU.
        void (*invalidate)(void* self, Invalidation const& what) noexcept {nullptr};
    };

    constexpr ShootDown() = default;
    constexpr explicit ShootDown(Machine const& machine) : machine_{machine} {}
    ShootDown(ShootDown const&) = delete;
    ShootDown& operator=(ShootDown const&) = delete;

    // All `targets`, of which the caller may be one, have forgotten when it returns. Interrupts off.
    void run(CpuId self, CpuMask targets, Invalidation const& what)
    {
        HV_ASSERT_SLOW(arch::irqs_are_off());
        bool const is_target = targets.test(self);
        targets.clear(self);
        for (CpuId const cpu : targets)
            post(cpu, what);
        if (is_target)
            machine_.invalidate(machine_.self, what);
        for (CpuId const cpu : targets)
            wait(self, cpu);
    }

    // For the interrupt's handler, and in loops that wait with interrupts off. Interrupts off.
    void serve(CpuId self)
    {
        Inbox& inbox{machine_.inbox(machine_.self, self)};
        // acquire: the tables are as those left them whose requests are served. First the number, then what it is
        // about: whoever is in the number has left his request before.
        std::uint64_t const requested{inbox.requested.load(std::memory_order_acquire)};
        if (requested == inbox.served.load(std::memory_order_relaxed))
            return;
        if (Invalidation const* const what{inbox.what.exchange(nullptr, std::memory_order_acquire)})
            machine_.invalidate(machine_.self, *what);
        inbox.served.store(requested, std::memory_order_release); // the caller of run() takes the pages back
    }

    // Since the start.
    [[nodiscard]] std::uint64_t interrupts() const { return interrupts_.load(std::memory_order_relaxed); }

private:
    static constexpr Invalidation everything{Invalidation::of_everything()};

    void post(CpuId cpu, Invalidation const& what)
    {
        Inbox& inbox{machine_.inbox(machine_.self, cpu)};
        Invalidation const* empty{nullptr};
        // release: publishes the pages to forget. Somebody else's are there already: then all, which includes them.
        if (!inbox.what.compare_exchange_strong(empty, &what, std::memory_order_release, std::memory_order_relaxed))
            inbox.what.store(&everything, std::memory_order_release);
        inbox.requested.fetch_add(1, std::memory_order_release);
        // Even if a request was there: its interrupt may have been taken, and its number read, before ours.
        machine_.interrupt(machine_.self, cpu);
        interrupts_.fetch_add(1, std::memory_order_relaxed);
    }

    void wait(CpuId self, CpuId cpu)
    {
        Inbox const& inbox{machine_.inbox(machine_.self, cpu)};
        // Our own number, or a later one of somebody else's.
        std::uint64_t const number{inbox.requested.load(std::memory_order_relaxed)};
        while (inbox.served.load(std::memory_order_acquire) < number) {
            serve(self);
            arch::relax();
        }
    }

    Machine machine_{};
    std::atomic<std::uint64_t> interrupts_{0};
};

} // namespace hv
