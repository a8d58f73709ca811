// Which account belongs to a domain number: what turns the owner recorded with a block into the counters that know of
// it. Slot 0 is the kernel, which has no account; slot d + 1 is domain d.
//
// Locking: none; a slot is an atomic pointer, published by attach(). Floor: mm.
#pragma once

#include "mm/domain_account.hpp"

#include <atomic>
#include <span>

namespace hv::mm {

class AccountTable {
public:
    using Slot = std::atomic<DomainAccount*>;

    // One slot more than there may be domains, all null.
    explicit AccountTable(std::span<Slot> slots) : slots_{slots} {}

    // False if the number is too large or taken.
    [[nodiscard]] bool attach(DomainAccount& account) const
    {
        if (account.domain().value() + 1u >= slots_.size())
            return false;
        DomainAccount* nobody{nullptr};
        // release: who finds the account finds it constructed. relaxed on failure: nothing is read through it.
        if (!slots_[account.domain().value() + 1u].compare_exchange_strong(nobody, &account, std::memory_order_release,
                                                                           std::memory_order_relaxed))
            return false;
        account.clear_trait(DomainAccount::dying); // of an earlier life
        account.clear_trait(DomainAccount::detached);
        return true;
    }
    void detach(DomainAccount& account) const
    {
        HV_ASSERT(is_attached(account));
        account.set_trait(DomainAccount::detached);
        slots_[account.domain().value() + 1u].store(nullptr, std::memory_order_release);
    }
    [[nodiscard]] bool is_attached(DomainAccount const& account) const
    {
        return account.domain().value() + 1u < slots_.size() && at(account.domain().value() + 1u) == &account;
    }

    // By PageEntry::owner_slot().
    [[nodiscard]] DomainAccount* at(unsigned slot) const
    {
        HV_ASSERT(slot < slots_.size());
        return slots_[slot].load(std::memory_order_acquire); // pairs with attach()
    }
    [[nodiscard]] std::span<Slot> slots() const { return slots_; }

private:
    std::span<Slot> slots_;
};

} // namespace hv::mm
