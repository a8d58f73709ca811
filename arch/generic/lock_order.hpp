// The order of locks, checked at run time in debug builds: a pCPU that waits for a lock may hold only locks whose key
// is lower. A key is (rank, ordinal): ranks are a table where the locks are declared, ordinals order the locks of one
// rank (a pCPU's number, for run queues). try_lock never waits, so it is allowed in any order and only recorded.
//
// HeldLocks belongs to one pCPU (kernel) or one thread (host) and is found through <arch/cpu.hpp>. Floor: arch/generic.
#pragma once

#include "arch/generic/assert.hpp"

#include <array>
#include <compare>
#include <cstdint>

namespace hv {

struct LockKey {
    std::uint16_t rank{0};
    std::uint16_t ordinal{0};

    friend constexpr auto operator<=>(LockKey, LockKey) = default;
};

class HeldLocks {
public:
    [[nodiscard]] constexpr bool may_wait_for(LockKey key) const
    {
        for (unsigned i = 0; i < depth_; ++i)
            if (keys_[i] >= key)
                return false;
        return true;
    }

    constexpr void acquired(LockKey key)
    {
        HV_ASSERT(depth_ < keys_.size());
        keys_[depth_++] = key;
    }

    constexpr void released(LockKey key)
    {
        for (unsigned i = depth_; i-- > 0;) {
            if (keys_[i] != key)
                continue;
            keys_[i] = keys_[--depth_]; // The set matters, not the order in which its members came.
            return;
        }
        constexpr bool was_held{false};
        HV_ASSERT(was_held);
    }

    [[nodiscard]] constexpr bool none() const { return depth_ == 0; }

private:
    std::array<LockKey, 8> keys_{};
    unsigned depth_{0};
};

} // namespace hv
