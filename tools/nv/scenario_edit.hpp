// Changes of a scenario's JSON that keep it whole: what referred to a VM, vCPU, pCPU or node that goes, goes with it or
// is numbered anew. For those who make scenarios of scenarios (sweeps, the shrinker).
//
// The tree may be any JSON: what is not there or not of the type it should be is left alone, so that the parser
// (scenario.hpp), which sees every result, refuses it with its place. Host only. Floor: tools.
#pragma once

#include "tools/nv/json.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hv::nv {

// The value at a place as error lines write it: "$.domains[1].cap". A last member that is missing is made; nullptr if
// there is no such place otherwise, or `path` is none.
[[nodiscard]] Json* at_path(Json& scenario, std::string_view path);
void erase_member(Json& object, std::string_view key);
// The list `key` of an object; nullptr if it is none.
[[nodiscard]] Json* list_of(Json& object, std::string_view key);
// The number behind `key`; 0 if there is none.
[[nodiscard]] std::uint64_t number_of(Json const& object, std::string_view key);
// Whether a domain is a VM: its group is not dom0.
[[nodiscard]] bool is_guest(Json const& domain);

// Its changes go, too, and steps that notify it. Rows count from 0.
void drop_domain(Json& scenario, std::size_t row);
// With its partner if it has one (then the domain may be without vCPUs and is dropped).
void drop_vcpu(Json& scenario, std::size_t row, std::size_t vcpu);
// What began on it begins on a pCPU of the same node, if there is one; a mask that is empty then is no mask.
void drop_pcpu(Json& scenario, std::size_t cpu);
// With its pCPUs and its memory.
void drop_node(Json& scenario, std::size_t node);

// As many VMs, without those of the group dom0: the first ones, or more by copies of them in turn.
void set_vms(Json& scenario, std::size_t count);
// As many pCPUs at most; those go first that are the last on the node with the most.
void set_pcpus(Json& scenario, std::size_t count);

} // namespace hv::nv
