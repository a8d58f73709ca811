// A fuzz target: one function that takes any bytes and must neither crash nor break its own assertions.
//
// A target is one file, tests/fuzz/NAME.cpp, that says HV_FUZZ_TARGET(NAME) { ... input ... }, and a folder of inputs,
// tests/fuzz/corpus/NAME/. `make fuzz` gives each to libFuzzer for a minute and keeps what it finds; `make test` gives
// every committed input to its target once, under ASan and UBSan. Checks inside a target use HV_ASSERT. Floor: tests.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace hv::fuzz {

using Input = std::span<std::uint8_t const>;

struct Target {
    std::string_view name;
    void (*run)(Input input);
};

// All that are linked in, in no certain order.
[[nodiscard]] std::vector<Target>& targets();

struct Registration {
    Registration(std::string_view name, void (*run)(Input)) { targets().push_back({name, run}); }
};

} // namespace hv::fuzz

#define HV_FUZZ_TARGET(name) \
    static void fuzz_##name(hv::fuzz::Input input); \
    static hv::fuzz::Registration const register_##name{#name, fuzz_##name}; \
    static void fuzz_##name([[maybe_unused]] hv::fuzz::Input input)
