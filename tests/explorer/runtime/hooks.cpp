// What the compiler calls under -fsanitize=thread, answered by ourselves instead of by ThreadSanitizer's library: plain
// accesses are checked for races, atomic ones are points at which the run may go on elsewhere (run.hpp). Memory outside
// the arena belongs to one fiber, or does not change. Compiled without that option. Floor: tests.
#include "tests/explorer/runtime/arena.hpp"
#include "tests/explorer/runtime/run.hpp"

#include <cstdint>

namespace {

using hv::explorer::arena;
using hv::explorer::run;

[[gnu::always_inline]] inline bool is_ours(void const volatile* at)
{
    return run().is_active() && arena().holds(const_cast<void const*>(at));
}

[[gnu::always_inline]] inline void plain(void const* at, unsigned long bytes, bool writes, void const* pc)
{
    if (is_ours(at))
        run().plain(at, static_cast<unsigned>(bytes), writes, pc);
}

template <typename T>
T load(T const volatile* at, int order, void const* pc)
{
    if (!is_ours(at))
        return __atomic_load_n(at, __ATOMIC_SEQ_CST);
    return static_cast<T>(run().load(const_cast<T const*>(at), sizeof(T), order, pc));
}

template <typename T>
void store(T volatile* at, T value, int order, void const* pc)
{
    if (!is_ours(at))
        __atomic_store_n(at, value, __ATOMIC_SEQ_CST);
    else
        run().store(const_cast<T*>(at), sizeof(T), value, order, pc);
}

// change(before) is the new value. Returns the old one.
template <typename T, typename Change>
T change(T volatile* at, int order, void const* pc, bool may_be_lock, Change const& change)
{
    T* const word{const_cast<T*>(at)};
    bool const ours{is_ours(at)};
    if (ours)
        run().begin_change(word, sizeof(T), may_be_lock, pc);
    T const before{*word};
    *word = static_cast<T>(change(before));
    if (ours)
        run().end_change(word, order, true, *word, pc);
    return before;
}

template <typename T>
int compare(T volatile* at, T* expected, T desired, int order, int failure, void const* pc)
{
    T* const word{const_cast<T*>(at)};
    bool const ours{is_ours(at)};
    if (ours)
        run().begin_change(word, sizeof(T), true, pc);
    bool const same{*word == *expected};
    if (same)
        *word = desired;
    else
        *expected = *word;
    if (ours)
        run().end_change(word, same ? order : failure, same, *word, pc);
    return same ? 1 : 0;
}

} // namespace

// NOLINTBEGIN: the names are the compiler's.
#define PC __builtin_return_address(0)
#define HV_PLAIN(N) \
    void __tsan_read##N(void* at) { plain(at, N, false, PC); } \
    void __tsan_write##N(void* at) { plain(at, N, true, PC); } \
    void __tsan_unaligned_read##N(void* at) { plain(at, N, false, PC); } \
    void __tsan_unaligned_write##N(void* at) { plain(at, N, true, PC); }
#define HV_ATOMIC(N, T) \
    T __tsan_atomic##N##_load(T const volatile* at, int order) { return load(at, order, PC); } \
    void __tsan_atomic##N##_store(T volatile* at, T value, int order) { store(at, value, order, PC); } \
    T __tsan_atomic##N##_exchange(T volatile* at, T value, int order) \
    { \
        return change(at, order, PC, false, [&](T) { return value; }); \
    } \
    T __tsan_atomic##N##_fetch_add(T volatile* at, T value, int order) \
    { \
        return change(at, order, PC, true, [&](T old) { return old + value; }); \
    } \
    T __tsan_atomic##N##_fetch_sub(T volatile* at, T value, int order) \
    { \
        return change(at, order, PC, false, [&](T old) { return old - value; }); \
    } \
    T __tsan_atomic##N##_fetch_and(T volatile* at, T value, int order) \
    { \
        return change(at, order, PC, false, [&](T old) { return old & value; }); \
    } \
    T __tsan_atomic##N##_fetch_or(T volatile* at, T value, int order) \
    { \
        return change(at, order, PC, false, [&](T old) { return old | value; }); \
    } \
    T __tsan_atomic##N##_fetch_xor(T volatile* at, T value, int order) \
    { \
        return change(at, order, PC, false, [&](T old) { return old ^ value; }); \
    } \
    int __tsan_atomic##N##_compare_exchange_strong(T volatile* at, T* expected, T desired, int order, int failure) \
    { \
        return compare(at, expected, desired, order, failure, PC); \
    } \
    int __tsan_atomic##N##_compare_exchange_weak(T volatile* at, T* expected, T desired, int order, int failure) \
    { \
        return compare(at, expected, desired, order, failure, PC); \
    }

extern "C" {
HV_PLAIN(1)
HV_PLAIN(2)
HV_PLAIN(4)
HV_PLAIN(8)
HV_PLAIN(16)
HV_ATOMIC(8, std::uint8_t)
HV_ATOMIC(16, std::uint16_t)
HV_ATOMIC(32, std::uint32_t)
HV_ATOMIC(64, std::uint64_t)
void __tsan_read_range(void* at, unsigned long bytes) { plain(at, bytes, false, PC); }
void __tsan_write_range(void* at, unsigned long bytes) { plain(at, bytes, true, PC); }
void __tsan_vptr_update(void** at, void*) { plain(at, sizeof(void*), true, PC); }
void __tsan_vptr_read(void** at) { plain(at, sizeof(void*), false, PC); }
void __tsan_atomic_thread_fence(int)
{
    if (run().is_active())
        run().fence();
}
void __tsan_atomic_signal_fence(int) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
}
// NOLINTEND
