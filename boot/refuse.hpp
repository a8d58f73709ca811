// The end of a boot that cannot go on because of its input: one line that names the thing, the place and the fix, then
// the exit status for it. Floor: boot.
#pragma once

#include "arch/x86_64/console.hpp"
#include "arch/x86_64/exit.hpp"

#include <string_view>

namespace hv::boot {

template <typename... Args>
[[noreturn]] void refuse(std::string_view format, Args const&... args)
{
    {
        arch::Line line{arch::Output::console};
        print(line.sink(), "error: ");
        print(line.sink(), format, args...);
    }
    arch::exit_machine(arch::ExitCode::refused);
}

// For errors that have a describe(error, sink) or describe(sink, error).
template <typename Error>
[[noreturn]] void refuse_because(Error const& error)
{
    {
        arch::Line line{arch::Output::console};
        print(line.sink(), "error: ");
        if constexpr (requires { describe(error, line.sink()); })
            describe(error, line.sink());
        else
            describe(line.sink(), error);
    }
    arch::exit_machine(arch::ExitCode::refused);
}

} // namespace hv::boot
