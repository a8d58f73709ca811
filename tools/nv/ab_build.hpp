// The programs of one side: nv, and the kernel if it is wanted, built from a tree in a folder of the side's own.
//
// Nothing is built before somebody needs it: key() asks first whether a program of the same sources was built before.
// The folder keeps its objects, so that only what differs from the time before is compiled, and takes over those that
// lie beside this very program where they fit (ab_seed.hpp). Host only. Floor: tools.
#pragma once

#include "tools/nv/ab_seed.hpp"
#include "tools/nv/ab_side.hpp"

#include <filesystem>
#include <string>

namespace hv::nv {

struct AbPlaces {
    std::filesystem::path self; // this program
    std::filesystem::path own;  // the folder that it was built in
    std::filesystem::path work; // for all that `nv ab` keeps
    [[nodiscard]] std::filesystem::path own_kernel() const { return own / "numavisor.elf"; }
};

class AbProgram {
public:
    // `trees`: may be null if the side has no tree.
    AbProgram(AbSide const& side, GitTrees const* trees, AbPlaces const& places, bool with_kernel);

    // Of the code that runs.
    [[nodiscard]] std::string const& key();
    // Builds it, unless that has been done. Throws (own_failure) after the compiler's first message is on stderr.
    void build();
    [[nodiscard]] std::filesystem::path nv() const;
    [[nodiscard]] std::filesystem::path kernel() const;

private:
    [[nodiscard]] std::filesystem::path folder() const { return places_.work / side_.role; }
    void keep_to_rules() const;
    void seed() const;
    void seed_from(BuildTree const& from) const;
    void make(std::vector<std::string> const& targets) const;

    AbSide const& side_;
    GitTrees const* trees_;
    AbPlaces const& places_;
    bool with_kernel_;
    bool built_{false};
    std::filesystem::path known_; // the file that remembers the key
    std::string key_;
};

} // namespace hv::nv
