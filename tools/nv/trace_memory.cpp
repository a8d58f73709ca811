#include "tools/nv/trace_memory.hpp"

#include "boot/scenario/layout.hpp"
#include "sched/trace/directory.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/xentrace_flight.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

namespace hv::nv {

namespace {

using namespace sched::trace;

std::span<std::byte> map_file(std::filesystem::path const& file)
{
    int const fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0)
        give_up(fmt::format("{}: cannot read the guest's memory: {}", file.string(), std::strerror(errno)));
    struct stat status{};
    bool const ok = ::fstat(fd, &status) == 0 && status.st_size > 0;
    auto const size = static_cast<std::size_t>(status.st_size);
    void* const at = ok ? ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                        : MAP_FAILED; // NOLINT(cppcoreguidelines-pro-type-cstyle-cast)
    ::close(fd);
    if (at == MAP_FAILED) // NOLINT(cppcoreguidelines-pro-type-cstyle-cast)
        give_up(fmt::format("{}: cannot map the guest's memory", file.string()));
    return {static_cast<std::byte*>(at), size};
}

} // namespace

GuestMemory::GuestMemory(std::vector<std::filesystem::path> const& files) : mapped_{true}
{
    for (std::filesystem::path const& file : files) {
        nodes_.push_back(map_file(file));
        total_ += nodes_.back().size();
    }
}

GuestMemory::GuestMemory(std::vector<std::span<std::byte>> nodes) : nodes_{std::move(nodes)}, mapped_{false}
{
    for (auto const& node : nodes_)
        total_ += node.size();
}

GuestMemory::~GuestMemory()
{
    if (!mapped_)
        return;
    for (auto const& node : nodes_)
        ::munmap(node.data(), node.size());
}

std::uint64_t GuestMemory::ram_offset(std::uint64_t address, std::uint64_t bytes) const
{
    constexpr std::uint64_t high = 4ull << 30;
    std::uint64_t const low = total_ >= q35_split_from ? q35_low_ram_limit : total_;
    if (bytes <= low && address <= low - bytes)
        return address;
    std::uint64_t const above = total_ - low;
    if (address >= high && bytes <= above && address - high <= above - bytes)
        return address - high + low;
    give_up(fmt::format("the trace directory leads to {} bytes at {:#x}, where the guest has no RAM", bytes, address));
}

std::vector<std::byte> GuestMemory::read(std::uint64_t address, std::uint64_t bytes) const
{
    std::uint64_t offset = ram_offset(address, bytes);
    std::vector<std::byte> result;
    result.reserve(bytes);
    for (auto const& node : nodes_) {
        if (offset >= node.size()) {
            offset -= node.size();
            continue;
        }
        auto const part = node.subspan(offset, std::min<std::uint64_t>(bytes - result.size(), node.size() - offset));
        result.insert(result.end(), part.begin(), part.end());
        offset = 0; // The next node's memory begins where this one's ends.
    }
    return result;
}

std::byte* GuestMemory::place(std::uint64_t address, std::uint64_t bytes, std::size_t alignment) const
{
    std::uint64_t offset = ram_offset(address, bytes);
    for (auto const& node : nodes_) {
        if (offset >= node.size()) {
            offset -= node.size();
            continue;
        }
        if (bytes > node.size() - offset || offset % alignment != 0)
            break;
        return node.data() + offset;
    }
    give_up(fmt::format("{} bytes at {:#x} of the guest are not of one node, or not aligned", bytes, address));
}

std::vector<GuestRing> find_guest_rings(GuestMemory const& memory, std::uint64_t directory)
{
    auto const& head = memory.at<Directory>(directory);
    if (head.magic != directory_magic || head.version != directory_version)
        give_up(fmt::format("no trace directory of version {} at {:#x}: kernel and nv are of different builds",
                            directory_version, directory));
    if (head.pcpu_count > scenario::max_pcpus)
        give_up(fmt::format("the trace directory at {:#x} has {} pCPUs, at most {} are possible", directory,
                            head.pcpu_count, scenario::max_pcpus));
    std::vector<GuestRing> rings(head.pcpu_count);
    for (std::uint32_t pcpu = 0; pcpu < head.pcpu_count; ++pcpu) {
        auto const& ring = memory.at<DirectoryRing>(directory + sizeof(Directory) + pcpu * sizeof(DirectoryRing));
        if (ring.bytes == 0)
            continue;
        if (!std::has_single_bit(ring.bytes))
            give_up(fmt::format("trace ring of pCPU {}: {} bytes are no power of two", pcpu, ring.bytes));
        rings[pcpu] = {pcpu, &memory.at<RingControl>(ring.control), ring.data, ring.bytes};
    }
    return rings;
}

void append_ring_bytes(GuestMemory const& memory, GuestRing const& ring, std::uint64_t tail, std::uint64_t head,
                       std::vector<std::byte>& bytes)
{
    if (head < tail || head - tail > ring.bytes)
        give_up(fmt::format("trace ring of pCPU {}: {} bytes with head {} and tail {} make no sense", ring.pcpu,
                            ring.bytes, head, tail));
    while (tail < head) {
        std::uint64_t const offset = tail % ring.bytes;
        std::uint64_t const piece = std::min(head - tail, ring.bytes - offset);
        std::vector<std::byte> const part = memory.read(ring.data + offset, piece);
        bytes.insert(bytes.end(), part.begin(), part.end());
        tail += piece;
    }
}

Drained drain(GuestMemory const& memory, std::uint64_t directory)
{
    std::vector<GuestRing> const rings = find_guest_rings(memory, directory);
    Drained result{.streams = {}, .lost = 0, .stamp_khz = memory.at<Directory>(directory).stamp_khz};
    for (std::uint32_t pcpu = 0; pcpu < rings.size(); ++pcpu) {
        Stream& stream = result.streams.emplace_back(Stream{pcpu, {}});
        RingControl const* const control = rings[pcpu].control;
        if (control == nullptr)
            continue;
        append_ring_bytes(memory, rings[pcpu], control->tail, control->head, stream.bytes);
        result.lost += control->lost_total + control->overwritten;
    }
    // Only a flight recorder overwrites; before it does, it has everything.
    if (std::ranges::any_of(rings, [](GuestRing const& r) { return r.control != nullptr && r.control->overwritten; }))
        start_together(result.streams);
    return result;
}

} // namespace hv::nv
