// Sets of pCPUs as people write and read them: "0-3,5,^1", "node:1,^8", "all".
//
//   list  := item { "," item }                          empty items are skipped
//   item  := ["^"] [ "node:" | "nodes:" ] ( "all" | range )     "^all" is an error
//   range := number [ "-" number ]                      decimal, the second not below the first
//
// Items count from left to right, from an empty set on: plain ones add, "^" takes away. A node stands for all its
// pCPUs. Blanks around an item and its parts are ignored; numbers without a pCPU or node are ignored, too, and named in
// the answer. (Xen's xl 4.4 and later; it refuses blanks behind a number and says nothing about what it ignores.) Pure,
// no locks. Floor: boot/console.
#pragma once

#include "arch/generic/format.hpp"
#include "arch/generic/mask.hpp"
#include "arch/generic/result.hpp"
#include "arch/generic/topology.hpp"

#include <string_view>

namespace hv::console {

// `what` is a phrase; both are views, `item` into the text that was parsed.
struct AffinityError {
    std::string_view item, what;
};

// The first item that names pCPUs or nodes that the machine lacks; empty: none does.
struct AffinityNotes {
    std::string_view ignored;
};

// Sets `cpus` to what `text` says of the machine; unchanged after an error. An empty set is no error.
[[nodiscard]] Result<AffinityNotes, AffinityError> parse_affinity(std::string_view text, Topology const& topology,
                                                                  CpuMask& cpus);
// The same grammar for nodes: "0", "0-1", "all", "node:1". Here "all" is all 64 nodes that there may be.
[[nodiscard]] Result<AffinityNotes, AffinityError> parse_nodes(std::string_view text, Topology const& topology,
                                                               NodeMask& nodes);

void describe(AffinityError const& error, Sink& sink);

// "all" for all (the first `limit`), else as write_runs has it.
void write_map(Sink& sink, CpuMask const& cpus, unsigned limit);
void write_map(Sink& sink, NodeMask nodes, unsigned limit);

} // namespace hv::console
