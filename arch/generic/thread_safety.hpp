// Clang thread-safety attributes. GCC ignores them, so CI builds once with clang -Wthread-safety -Werror.
#pragma once

#if defined(__clang__)
#define HV_TSA(x) __attribute__((x))
#else
#define HV_TSA(x)
#endif

#define HV_CAPABILITY(name) HV_TSA(capability(name))
#define HV_SCOPED_CAPABILITY HV_TSA(scoped_lockable)
#define HV_GUARDED_BY(lock) HV_TSA(guarded_by(lock))
#define HV_REQUIRES(...) HV_TSA(requires_capability(__VA_ARGS__))
#define HV_ACQUIRE(...) HV_TSA(acquire_capability(__VA_ARGS__))
#define HV_TRY_ACQUIRE(...) HV_TSA(try_acquire_capability(__VA_ARGS__))
#define HV_RELEASE(...) HV_TSA(release_capability(__VA_ARGS__))
#define HV_EXCLUDES(...) HV_TSA(locks_excluded(__VA_ARGS__))
#define HV_ASSERT_CAPABILITY(...) HV_TSA(assert_capability(__VA_ARGS__))
#define HV_NO_THREAD_SAFETY_ANALYSIS HV_TSA(no_thread_safety_analysis)
