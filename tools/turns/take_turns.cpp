// Loaded into QEMU (LD_PRELOAD): its two threads take turns, so that a run under the instruction counter is the same
// run every time, whatever else the host does.
//
// With -icount sleep=off one thread executes all pCPUs; when all of them are idle it waits on a condition, and the main
// thread sets the clock to the next timer, runs what is due and signals. But the main thread is also woken while guest
// code executes (each programming of a timer wakes it). If the host gives it a CPU at the wrong moment, it runs a timer
// that the executing thread was about to run, and then sends all pCPUs on their round: two interrupts change places.
// Here the main thread, whenever its poll returns, waits until the executing thread waits. The other direction needs
// nothing: the main thread holds QEMU's big lock from the signal to its next poll.
//
// The price: while guest code executes without ever being idle, QEMU's main thread does nothing; no monitor, no
// debugger. Leave LD_PRELOAD out for those. Made for one QEMU with the round-robin accelerator; without it, and before
// its first wait, everything passes straight through. Host only. Floor: tools.
#include <dlfcn.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <csignal>

namespace {

// 1 while the executing thread waits for the main thread. Sequentially consistent: one thread stores and wakes, the
// other loads and sleeps, and neither may miss the other.
std::atomic<int> idle{0};
std::atomic<pthread_cond_t*> idle_condition{nullptr}; // the one on which it waits; null before its first wait
std::atomic<pthread_mutex_t*> big_lock{nullptr};      // which it gives up meanwhile
static_assert(sizeof idle == sizeof(int));            // the kernel looks at it

template <typename Function>
Function* original(char const* name, char const* version)
{
    // Without a version, old C libraries answer with an older condition variable, which does not know the newer one's
    // layout.
    void* found = ::dlvsym(RTLD_NEXT, name, version);
    if (found == nullptr)
        found = ::dlsym(RTLD_NEXT, name);
    return reinterpret_cast<Function*>(found);
}

bool is_main_thread() { return ::gettid() == ::getpid(); }

void futex(int operation, int value) { ::syscall(SYS_futex, &idle, operation, value, nullptr, nullptr, 0); }

// A poll inside of what the main thread does (it waits for its devices when QEMU ends): it has its turn. The owner is
// the C library's own note of it.
bool holds_big_lock()
{
    pthread_mutex_t const* const lock = big_lock.load();
    return lock != nullptr && lock->__data.__owner == ::gettid();
}

void wait_for_turn()
{
    if (!is_main_thread() || idle_condition.load() == nullptr || holds_big_lock())
        return;
    while (idle.load() == 0)
        futex(FUTEX_WAIT_PRIVATE, 0);
}

} // namespace

// The executing thread is the first beside the main thread that waits on a condition, and it has only this one.
extern "C" int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex)
{
    static auto* const wait = original<int(pthread_cond_t*, pthread_mutex_t*)>("pthread_cond_wait", "GLIBC_2.3.2");
    if (is_main_thread())
        return wait(condition, mutex);
    pthread_cond_t* first{nullptr};
    idle_condition.compare_exchange_strong(first, condition);
    if (idle_condition.load() != condition)
        return wait(condition, mutex);
    big_lock.store(mutex);
    idle.store(1);
    futex(FUTEX_WAKE_PRIVATE, INT_MAX);
    int const result = wait(condition, mutex);
    idle.store(0);
    return result;
}

// Its turn begins with the signal, not only when it has woken up.
extern "C" int pthread_cond_broadcast(pthread_cond_t* condition) noexcept
{
    static auto* const broadcast = original<int(pthread_cond_t*)>("pthread_cond_broadcast", "GLIBC_2.3.2");
    if (condition == idle_condition.load())
        idle.store(0);
    return broadcast(condition);
}

extern "C" int ppoll(pollfd* files, nfds_t count, timespec const* timeout, sigset_t const* signals)
{
    static auto* const poll = original<int(pollfd*, nfds_t, timespec const*, sigset_t const*)>("ppoll", "GLIBC_2.4");
    int const result = poll(files, count, timeout, signals);
    wait_for_turn();
    return result;
}
