// Keeps a folder to one process at a time. Host only. Floor: tools.
#pragma once

#include "tools/nv/errors.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <string_view>

namespace hv::nv {

// Held while it lives, and not by who was killed. Throws (own_failure) if somebody else has it: `who` and what to do
// about it, `fix`, are for the line.
class FolderLock {
public:
    FolderLock(std::filesystem::path const& folder, std::string_view who, std::string_view fix)
        : file_{::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)}
    {
        if (file_ >= 0 && ::flock(file_, LOCK_EX | LOCK_NB) == 0)
            return;
        if (file_ >= 0)
            ::close(file_);
        give_up(fmt::format("{}: another {} is at work there; wait for it, or {}", folder.string(), who, fix));
    }
    ~FolderLock() { ::close(file_); }
    FolderLock(FolderLock const&) = delete;
    FolderLock& operator=(FolderLock const&) = delete;

private:
    int file_;
};

} // namespace hv::nv
