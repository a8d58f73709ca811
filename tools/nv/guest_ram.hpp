// The memory of a guest's nodes as files that QEMU and nv share. They have no name: nothing is left behind, however nv
// ends. Host only. Floor: tools.
#pragma once

#include "tools/nv/scenario.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace hv::nv {

class GuestRam {
public:
    // Memory files, or where the system has none, unlinked files in `fallback`. Nodes without memory get none.
    GuestRam(Machine const& machine, std::filesystem::path const& fallback);
    ~GuestRam();
    GuestRam(GuestRam const&) = delete;
    GuestRam& operator=(GuestRam const&) = delete;

    // By node; empty for a node without memory. Good in this process and in its children.
    [[nodiscard]] std::vector<std::string> const& paths() const { return paths_; }
    // Those that are there, in the order of the nodes.
    [[nodiscard]] std::vector<std::filesystem::path> files() const;

private:
    std::vector<int> descriptors_;
    std::vector<std::string> paths_;
};

} // namespace hv::nv
