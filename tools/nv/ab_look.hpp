// Where to look after a comparison: the two traces of the scenario that changed most, and the first place where they
// part. Host only. Floor: tools.
#pragma once

#include "tools/nv/ab_report.hpp"
#include "tools/nv/ab_runs.hpp"

namespace hv::nv {

// Nothing to add if no row differs. Leaves the traces below places.work.
void add_look(AbReport& report, AbSuite const& suite, AbArm& base, AbArm& change, AbPlaces const& places);

} // namespace hv::nv
