// What the end of a booted kernel means. The only pass is the kernel's own word (QEMU's status 33) with nothing against
// it; status 0 is a triple fault or a power-off and never a pass. Host only. Floor: tools.
#pragma once

#include "tools/nv/errors.hpp"
#include "tools/nv/process.hpp"

#include <string>

namespace hv::nv {

// isa-debug-exit turns a value v into (v << 1) | 1.
enum class KernelStatus : int { reset = 0, passed = 33, tests_failed = 35, panicked = 37, refused = 39 };

struct Verdict {
    ExitCode code{ExitCode::good};
    std::string line; // empty for a pass; else why not, without the run's name
};

struct RunFacts {
    bool selftest{false}; // self-tests were asked for
    ProcessSpec const& spec;
    ProcessResult const& result;
};

[[nodiscard]] Verdict judge(RunFacts const& facts);

} // namespace hv::nv
