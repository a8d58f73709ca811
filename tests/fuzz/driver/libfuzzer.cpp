// The libFuzzer program: NV_FUZZ_TARGET in the environment names the target. Floor: tests.
#include "tests/fuzz/target.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace {

hv::fuzz::Target const& chosen()
{
    char const* const wanted = std::getenv("NV_FUZZ_TARGET");
    auto const& all = hv::fuzz::targets();
    auto const found =
        std::ranges::find(all, std::string_view{wanted == nullptr ? "" : wanted}, &hv::fuzz::Target::name);
    if (found != all.end())
        return *found;
    std::fputs("NV_FUZZ_TARGET must name one of:", stderr);
    for (auto const& target : all)
        std::fprintf(stderr, " %.*s", static_cast<int>(target.name.size()), target.name.data());
    std::fputc('\n', stderr);
    std::exit(2);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size)
{
    static hv::fuzz::Target const& target = chosen();
    target.run({data, size});
    return 0;
}
