#include "tools/nv/xentrace.hpp"

#include "tools/nv/errors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace hv::nv {

namespace {

static_assert(std::endian::native == std::endian::little, "the file's words are stored as they are");

constexpr std::uint32_t event_bits = 0x0fff'ffff;
constexpr unsigned count_shift = 28;
constexpr std::uint32_t stamp_flag = 0x8000'0000;
constexpr auto cpu_change = static_cast<std::uint32_t>(sched::trace::Event::cpu_change);
constexpr std::uint32_t window_header = cpu_change | 2u << count_shift; // pCPU and size, no stamp
constexpr std::size_t window_header_bytes = 12;

std::uint32_t load(std::span<std::byte const> bytes, std::size_t offset)
{
    std::uint32_t word{0};
    std::memcpy(&word, bytes.data() + offset, sizeof word);
    return word;
}

void store(std::vector<std::byte>& bytes, std::uint32_t word)
{
    std::size_t const at = bytes.size();
    bytes.resize(at + sizeof word);
    std::memcpy(bytes.data() + at, &word, sizeof word);
}

std::size_t record_bytes(std::uint32_t header)
{
    return 4 + ((header & stamp_flag) != 0 ? 8u : 0u) + 4 * ((header >> count_shift) & 7u);
}

// The longest run of whole records from `begin` that is not longer than `most`.
std::size_t cut(Stream const& stream, std::size_t begin, std::size_t most)
{
    std::size_t end{begin};
    while (end < stream.bytes.size()) {
        std::size_t const left = stream.bytes.size() - end;
        std::size_t const size = left < 4 ? 5 : record_bytes(load(stream.bytes, end));
        if (size > left)
            give_up(fmt::format("trace of pCPU {}: byte {} of its ring begins a record that the ring does not end",
                                stream.pcpu, end));
        if (end + size - begin > most)
            break;
        end += size;
    }
    return end;
}

} // namespace

std::vector<std::byte> encode(Record const& record)
{
    std::vector<std::byte> bytes;
    auto const count = static_cast<std::uint32_t>(record.word_count);
    store(bytes, (record.event & event_bits) | count << count_shift | (record.has_stamp ? stamp_flag : 0));
    if (record.has_stamp) {
        store(bytes, static_cast<std::uint32_t>(record.stamp));
        store(bytes, static_cast<std::uint32_t>(record.stamp >> 32));
    }
    for (std::uint32_t const word : record.words())
        store(bytes, word);
    return bytes;
}

std::vector<std::byte> write_xentrace(std::vector<Stream> streams, std::size_t most_window_bytes)
{
    std::ranges::sort(streams, {}, &Stream::pcpu);
    std::vector<std::byte> file;
    std::vector<std::size_t> done_of(streams.size(), 0);
    for (bool first = true, more = true; more; first = false) {
        more = false;
        for (std::size_t i = 0; i < streams.size(); ++i) {
            Stream const& stream = streams[i];
            std::size_t const begin = done_of[i];
            std::size_t const end = cut(stream, begin, most_window_bytes);
            done_of[i] = end;
            more = more || end < stream.bytes.size();
            if (end == begin && !first)
                continue;
            store(file, window_header);
            store(file, stream.pcpu);
            store(file, static_cast<std::uint32_t>(end - begin));
            file.insert(file.end(), stream.bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                        stream.bytes.begin() + static_cast<std::ptrdiff_t>(end));
        }
    }
    return file;
}

Trace::Trace(std::span<std::byte const> bytes, std::string_view file) : bytes_{bytes}, file_{file}
{
    std::size_t at{0};
    while (at < bytes_.size()) {
        if (bytes_.size() - at < window_header_bytes)
            corrupt(at, "ends inside a CPU_CHANGE record");
        if (load(bytes_, at) != window_header)
            corrupt(at, fmt::format("{:#010x} where a CPU_CHANGE record ({:#010x}) is due", load(bytes_, at),
                                    window_header));
        std::uint32_t const pcpu = load(bytes_, at + 4);
        std::size_t const size = load(bytes_, at + 8);
        std::size_t const begin = at + window_header_bytes;
        if (size > bytes_.size() - begin)
            corrupt(at + 8,
                    fmt::format("a window of {} bytes, but the file has only {} more", size, bytes_.size() - begin));
        for (std::size_t record = begin; record < begin + size; record += record_bytes(load(bytes_, record)))
            static_cast<void>(decode(record, begin + size));
        cursors_[pcpu].windows.push_back({begin, begin + size});
        at = begin + size;
    }
    for (auto& [pcpu, cursor] : cursors_)
        read_head(cursor, pcpu);
}

void Trace::corrupt(std::size_t offset, std::string_view what) const
{
    refuse(fmt::format("{}: not a xentrace file, at byte {}: {}", file_, offset, what));
}

Record Trace::decode(std::size_t offset, std::size_t end) const
{
    if (end - offset < 4)
        corrupt(offset, "a window ends inside a record");
    std::uint32_t const header = load(bytes_, offset);
    if (record_bytes(header) > end - offset)
        corrupt(offset, fmt::format("a record of {} bytes in the last {} bytes of its window", record_bytes(header),
                                    end - offset));
    if ((header & event_bits) == cpu_change)
        corrupt(offset, "a CPU_CHANGE record inside a window, so the window's size is wrong");
    Record record{.event = header & event_bits,
                  .has_stamp = (header & stamp_flag) != 0,
                  .word_count = static_cast<std::uint8_t>((header >> count_shift) & 7),
                  .offset = offset};
    std::size_t at = offset + 4;
    if (record.has_stamp) {
        record.stamp = load(bytes_, at) | static_cast<std::uint64_t>(load(bytes_, at + 4)) << 32;
        at += 8;
    }
    for (std::size_t i = 0; i < record.word_count; ++i)
        record.word_store[i] = load(bytes_, at + 4 * i);
    return record;
}

// Moves the cursor to its next record, over the ends of windows.
void Trace::read_head(Cursor& cursor, std::uint32_t pcpu)
{
    cursor.head.reset();
    while (cursor.window < cursor.windows.size()) {
        Window const& window = cursor.windows[cursor.window];
        cursor.at = std::max(cursor.at, window.begin);
        if (cursor.at >= window.end) {
            ++cursor.window;
            cursor.at = 0;
            continue;
        }
        Record record = decode(cursor.at, window.end);
        cursor.at += record_bytes(load(bytes_, cursor.at));
        record.pcpu = pcpu;
        if (!record.has_stamp)
            record.stamp = cursor.stamp;
        cursor.stamp = record.stamp;
        cursor.head = record;
        return;
    }
}

std::optional<Record> Trace::next()
{
    // Few pCPUs: looking at all heads is cheaper than keeping them sorted.
    std::uint32_t best{0};
    Cursor* first{nullptr};
    for (auto& [pcpu, cursor] : cursors_) {
        if (!cursor.head || (first != nullptr && cursor.head->stamp >= first->head->stamp))
            continue;
        first = &cursor;
        best = pcpu;
    }
    if (first == nullptr)
        return std::nullopt;
    std::optional<Record> const record = first->head;
    read_head(*first, best);
    return record;
}

std::vector<std::uint32_t> Trace::pcpus() const
{
    std::vector<std::uint32_t> numbers;
    for (auto const& [pcpu, cursor] : cursors_)
        numbers.push_back(pcpu);
    return numbers;
}

} // namespace hv::nv
