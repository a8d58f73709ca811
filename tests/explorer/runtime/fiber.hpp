// Stacks that take turns on one thread. Floor: tests.
#pragma once

namespace hv::explorer {

// A fiber that does not run: where its stack ends. It stays good until somebody switches to it.
struct Fiber {
    void* stack_pointer{nullptr};
    void* memory{nullptr}; // its stack; made once
};

// `fiber` begins at `entry`, which must not return, whatever it did before.
void prepare(Fiber& fiber, void (*entry)());
// Goes on with `to`; returns when somebody switches to `from`.
void switch_fiber(Fiber& from, Fiber const& to);

} // namespace hv::explorer
