#include "tools/nv/guest_ram.hpp"

#include "tools/nv/errors.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace hv::nv {

GuestRam::GuestRam(Machine const& machine, std::filesystem::path const& fallback)
{
    for (std::size_t node = 0; node < machine.node_count(); ++node) {
        std::string& path = paths_.emplace_back();
        if (machine.node_memory_mib[node] == 0)
            continue;
        int fd = ::memfd_create(fmt::format("node{}", node).c_str(), 0); // Inherited by QEMU on purpose.
        if (fd < 0)
            fd = ::open(fallback.c_str(), O_TMPFILE | O_RDWR, 0600);
        if (fd >= 0)
            descriptors_.push_back(fd);
        if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(machine.node_memory_mib[node] << 20)) != 0)
            give_up(fmt::format("no memory for node {} of the guest ({} MiB): {}", node, machine.node_memory_mib[node],
                                std::strerror(errno)));
        path = fmt::format("/proc/self/fd/{}", fd);
    }
}

GuestRam::~GuestRam()
{
    for (int const fd : descriptors_)
        ::close(fd);
}

std::vector<std::filesystem::path> GuestRam::files() const
{
    std::vector<std::filesystem::path> files;
    for (std::string const& path : paths_)
        if (!path.empty())
            files.emplace_back(path);
    return files;
}

} // namespace hv::nv
