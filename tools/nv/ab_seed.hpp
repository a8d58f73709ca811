// Objects for a folder that is about to be built, out of one that was: make then compiles only what nobody has
// compiled.
//
// An object is taken over if all that it was made of is the same there and here, and it is newer there than all of
// that. It gets the time of now, so that make finds it newer than its sources here. Which sources are compiled together
// goes by the files that a folder has (Makefile, "Batches"): one file more shifts those behind it, and what was
// compiled here before is of no use. These lists are therefore made anew first. Host only. Floor: tools.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace hv::nv {

struct BuildTree {
    std::filesystem::path sources; // where make is called
    std::filesystem::path output;  // its O
};

// `parts`: folders of `output` that have objects. `make_lists` is given names of lists, relative to `to.output`, that
// are not as they are there. Returns how many objects were taken over. Throws (bad_input) for a file that cannot be
// read.
std::size_t seed_objects(BuildTree const& from, BuildTree const& to, std::span<std::string_view const> parts,
                         std::function<void(std::span<std::string const>)> const& make_lists);

// The lines of a Makefile that say how to compile, which no object's list of dependencies has.
[[nodiscard]] std::string compile_rules(std::string_view makefile);

} // namespace hv::nv
