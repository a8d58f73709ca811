// What a flight recorder leaves, made into a trace that its readers take: each pCPU's ring keeps the end of its records
// only, and where they begin nobody says what runs. Host only. Floor: tools.
#pragma once

#include "tools/nv/xentrace.hpp"

#include <vector>

namespace hv::nv {

// Cuts the streams so that all begin at one time: the earliest at which each pCPU's records tell what it runs, and at
// which none is in the midst of a switch. There each pCPU gets records that say what it runs (rule R1). Streams that
// are not whole records are left to write_xentrace, which refuses them.
void start_together(std::vector<Stream>& streams);

} // namespace hv::nv
