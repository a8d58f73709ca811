// Where in the sources something was done, for people. Floor: tests.
#pragma once

#include "tests/explorer/runtime/run.hpp"

#include <string>
#include <vector>

namespace hv::explorer {

// "function, file:line < its caller, ..." as far as it was inlined.
[[nodiscard]] std::string place_of(void const* pc);
// One a line: number, pCPU, place, what was done. Steps that only one pCPU's words were concerned with are left out.
void print_steps(std::vector<Step> const& steps);

} // namespace hv::explorer
