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
constexpr std::size_t most_touched_bytes = 32u << 20; // of a MappedFile, between two releases
constexpr std::size_t fault_bytes = 64u << 10;        // that the system maps at once where one is touched

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

void MappedFile::release() const
{
    // As above; nothing but time is lost if the system refuses.
    if (!bytes_.empty())
        ::madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), MADV_DONTNEED);
}

TraceStream::TraceStream(std::span<std::byte const> bytes, MappedFile const* file) : bytes_{bytes}, file_{file}
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
        cursors_[window->pcpu].last_head = window->head;
        at = window->end;
        touch(std::min(fault_bytes, window->end - window->head));
    }
    for (auto& [pcpu, cursor] : cursors_)
        if (advance(cursor))
            others_.push_back(&cursor);
    std::ranges::make_heap(others_, is_later);
    if (others_.empty())
        return;
    std::ranges::pop_heap(others_, is_later);
    first_ = others_.back();
    others_.pop_back();
}

void TraceStream::touch(std::size_t bytes)
{
    touched_ += bytes;
    if (touched_ < most_touched_bytes)
        return;
    touched_ = 0;
    if (file_ != nullptr)
        file_->release();
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

// Goes to the cursor's next window; those of other pCPUs that are met on the way are kept for them.
bool TraceStream::next_window(Cursor& cursor)
{
    if (cursor.window && cursor.window->head == cursor.last_head)
        return false;
    while (cursor.ahead.empty()) {
        Window const found = *window_at(searched_, false); // There is one: last_head is not reached.
        cursors_.find(found.pcpu)->second.ahead.push_back(found);
        searched_ = found.end;
        touch(std::min(fault_bytes, found.end - found.head));
    }
    cursor.window = cursor.ahead.front();
    cursor.ahead.pop_front();
    cursor.at = cursor.window->begin;
    return true;
}

// Reads the record at the cursor; false if there is none that fits: then the rest of the window is passed over.
bool TraceStream::decode(Cursor& cursor)
{
    Window const& window = *cursor.window;
    std::size_t const left = window.end - cursor.at;
    std::uint32_t const header = left < 4 ? 0 : load(bytes_, cursor.at);
    Record& record = cursor.record;
    record.pcpu = window.pcpu;
    record.event = header & event_bits;
    record.has_stamp = (header & stamp_flag) != 0;
    record.word_count = static_cast<std::uint8_t>((header >> 28) & 7);
    record.offset = cursor.at;
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
        return false;
    }
    std::size_t at = cursor.at + 4;
    if (record.has_stamp) {
        cursor.stamp = load(bytes_, at) | static_cast<std::uint64_t>(load(bytes_, at + 4)) << 32;
        at += 8;
    }
    record.stamp = cursor.stamp;
    for (std::size_t i = 0; i < record.word_count; ++i)
        record.word_store[i] = load(bytes_, at + 4 * i);
    std::fill(record.word_store.begin() + record.word_count, record.word_store.end(), 0u);
    cursor.at += size;
    touch(size);
    return true;
}

bool TraceStream::advance(Cursor& cursor)
{
    for (;;) {
        if (cursor.window && cursor.at < cursor.window->end) {
            if (decode(cursor))
                return true;
        } else if (!next_window(cursor)) {
            return false;
        }
    }
}

bool TraceStream::is_later(Cursor const* one, Cursor const* other)
{
    return one->record.stamp != other->record.stamp ? one->record.stamp > other->record.stamp
                                                    : one->record.offset > other->record.offset;
}

std::optional<Record> TraceStream::next()
{
    if (first_ == nullptr)
        return std::nullopt;
    std::optional<Record> record{first_->record};
    bool const has_more = advance(*first_);
    // Records come in bursts of one pCPU: mostly the heap stays as it is.
    if (has_more && (others_.empty() || !is_later(first_, others_.front())))
        return record;
    if (others_.empty()) {
        first_ = nullptr;
        return record;
    }
    std::ranges::pop_heap(others_, is_later);
    Cursor* const next = others_.back();
    if (has_more) {
        others_.back() = first_;
        std::ranges::push_heap(others_, is_later);
    } else {
        others_.pop_back();
    }
    first_ = next;
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
