// The figures of a branch over its commits: `nv ab --save DIR` leaves a file for each side that is a commit, and a page
// that shows all that were ever left there. Host only. Floor: tools.
#pragma once

#include "tools/nv/ab_report.hpp"
#include "tools/nv/ab_side.hpp"

#include <filesystem>

namespace hv::nv {

// A side's file: DIR/COMMIT-POLICY.json, with the families' figures over the first `seeds` seeds. Nothing for a side
// that is no commit.
void save_side(std::filesystem::path const& folder, AbSide const& side, GitTrees const& trees, AbReport const& report,
               bool is_base, unsigned seeds);

// DIR/index.html, from all files of DIR: a line a figure, those that changed most first, commits in the order of the
// branch. Throws (bad_input) for a file that is none of save_side's.
void write_history_page(std::filesystem::path const& folder);

} // namespace hv::nv
