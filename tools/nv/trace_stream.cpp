#include "tools/nv/trace_stream.hpp"

#include "tools/nv/errors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hv::nv {

namespace {

constexpr std::uint32_t event_bits = 0x0fff'ffff;
constexpr std::uint32_t stamp_flag = 0x8000'0000;
constexpr auto cpu_change = static_cast<std::uint32_t>(sched::trace::Event::cpu_change);
constexpr std::uint32_t window_header = cpu_change | 2u << 28;
constexpr std::size_t window_header_bytes = 12;

std::uint32_t load(std::span<std::byte const> bytes, std::size_t offset)
{
    std::uint32_t word{0};
    std::memcpy(&word, bytes.data() + offset, sizeof word);
    return word;
}

[[noreturn]] void cannot_read(std::filesystem::path const& file)
{
    refuse(fmt::format("{}: cannot read: {}", file.string(), std::strerror(errno)));
}

} // namespace

MappedFile::MappedFile(std::filesystem::path const& file)
{
    int const descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        cannot_read(file);
    struct stat status{};
    bool const known = ::fstat(descriptor, &status) == 0;
    bool const regular = known && S_ISREG(status.st_mode);
    auto const size = static_cast<std::size_t>(status.st_size);
    void* const memory = regular && size != 0 ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0) : nullptr;
    int const reason = errno;
    ::close(descriptor);
    if (known && !regular)
        refuse(
            fmt::format("{}: is not a regular file, give one (a pipe must be written to a file first)", file.string()));
    errno = reason;
    if (!known || memory == MAP_FAILED)
        cannot_read(file);
    if (memory != nullptr)
        bytes_ = {static_cast<std::byte const*>(memory), size};
}

MappedFile::~MappedFile()
{
    // munmap takes the address without const, and does not write there.
    if (!bytes_.empty())
        ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

TraceStream::TraceStream(std::span<std::byte const> bytes) : bytes_{bytes}
{
    if (!is_window(0)) {
        report(0, bytes.empty() ? "the file is empty"
                                : fmt::format("not a xentrace file: it does not begin with a CPU_CHANGE record "
                                              "({:#010x}, pCPU, size)",
                                              window_header));
        return;
    }
    std::size_t at{0};
    while (std::optional<Window> const window = window_at(at, true)) {
        ++windows_;
        Cursor& cursor = cursors_[window->pcpu];
        if (!cursor.window) {
            cursor.window = window;
            cursor.at = window->begin;
        }
        at = window->end;
    }
    for (auto& [pcpu, cursor] : cursors_)
        advance(pcpu, cursor);
}

void TraceStream::report(std::uint64_t offset, std::string what)
{
    ++damage_count_;
    if (damages_.size() < most_damages)
        damages_.push_back({offset, std::move(what)});
}

bool TraceStream::is_window(std::size_t at) const
{
    return bytes_.size() - at >= window_header_bytes && load(bytes_, at) == window_header &&
           load(bytes_, at + 4) < most_pcpus && load(bytes_, at + 8) % 4 == 0;
}

std::optional<TraceStream::Window> TraceStream::window_at(std::size_t at, bool all)
{
    std::size_t const wanted{at};
    while (at < bytes_.size() && !is_window(at))
        at = std::min(bytes_.size(), at + 4);
    if (at != wanted && all)
        report(wanted, fmt::format("no CPU_CHANGE record ({:#010x}, pCPU, size) where one is due; {}", window_header,
                                   at == bytes_.size() ? fmt::format("the last {} bytes are left out", at - wanted)
                                                       : fmt::format("going on at byte {}", at)));
    if (at == bytes_.size())
        return std::nullopt;
    std::size_t const begin = at + window_header_bytes;
    std::size_t const size = load(bytes_, at + 8);
    std::size_t const there = std::min(size, bytes_.size() - begin);
    Window const window{at, begin, begin + there, load(bytes_, at + 4), there < size};
    if (window.cut && all)
        report(bytes_.size(), fmt::format("the file ends inside the window of pCPU {} that begins at byte {}: {} of {} "
                                          "bytes are there",
                                          window.pcpu, at, there, size));
    return window;
}

// Finding them anew for each pCPU costs a look at every window and spares a table that grows with the file.
std::optional<TraceStream::Window> TraceStream::next_window_of(std::uint32_t pcpu, std::size_t at)
{
    std::optional<Window> window = window_at(at, false);
    while (window && window->pcpu != pcpu)
        window = window_at(window->end, false);
    return window;
}

// The record at the cursor, or nothing if there is none that fits: then the rest of the window is passed over.
std::optional<Record> TraceStream::decode(Cursor& cursor)
{
    Window const& window = *cursor.window;
    std::size_t const left = window.end - cursor.at;
    std::uint32_t const header = left < 4 ? 0 : load(bytes_, cursor.at);
    Record record{.pcpu = window.pcpu,
                  .event = header & event_bits,
                  .stamp = cursor.stamp,
                  .has_stamp = (header & stamp_flag) != 0,
                  .word_count = static_cast<std::uint8_t>((header >> 28) & 7),
                  .offset = cursor.at};
    std::size_t const size = 4 + (record.has_stamp ? 8u : 0u) + 4u * record.word_count;
    bool const is_nested = left >= 4 && record.event == cpu_change;
    if (size > left || is_nested) {
        if (is_nested)
            report(cursor.at, fmt::format("a CPU_CHANGE record inside the window of pCPU {} that begins at byte {}, so "
                                          "the window's size is wrong; the rest of the window is left out",
                                          window.pcpu, window.head));
        else if (!window.cut)
            report(cursor.at, fmt::format("a record of {} bytes in the last {} bytes of pCPU {}'s window; they are "
                                          "left out",
                                          size, left, window.pcpu));
        cursor.at = window.end;
        return std::nullopt;
    }
    std::size_t at = cursor.at + 4;
    if (record.has_stamp) {
        record.stamp = load(bytes_, at) | static_cast<std::uint64_t>(load(bytes_, at + 4)) << 32;
        at += 8;
    }
    for (std::size_t i = 0; i < record.word_count; ++i)
        record.word_store[i] = load(bytes_, at + 4 * i);
    cursor.at += size;
    cursor.stamp = record.stamp;
    return record;
}

void TraceStream::advance(std::uint32_t pcpu, Cursor& cursor)
{
    cursor.record.reset();
    while (cursor.window && !cursor.record) {
        if (cursor.at < cursor.window->end) {
            cursor.record = decode(cursor);
            continue;
        }
        cursor.window = next_window_of(pcpu, cursor.window->end);
        cursor.at = cursor.window ? cursor.window->begin : 0;
    }
}

std::optional<Record> TraceStream::next()
{
    Cursor* first{nullptr};
    std::uint32_t first_pcpu{0};
    for (auto& [pcpu, cursor] : cursors_) {
        if (!cursor.record)
            continue;
        bool const earlier =
            first == nullptr || cursor.record->stamp < first->record->stamp ||
            (cursor.record->stamp == first->record->stamp && cursor.record->offset < first->record->offset);
        if (!earlier)
            continue;
        first = &cursor;
        first_pcpu = pcpu;
    }
    if (first == nullptr)
        return std::nullopt;
    std::optional<Record> const record = first->record;
    advance(first_pcpu, *first);
    return record;
}

std::vector<std::uint32_t> TraceStream::pcpus() const
{
    std::vector<std::uint32_t> numbers;
    for (auto const& [pcpu, cursor] : cursors_)
        numbers.push_back(pcpu);
    return numbers;
}

} // namespace hv::nv
