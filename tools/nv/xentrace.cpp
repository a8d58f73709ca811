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
        std::size_t const size = left < 4 ? 4 : record_bytes(load(stream.bytes, end));
        if (size > left)
            give_up(fmt::format("trace of pCPU {}: byte {} of its ring begins a record that the ring does not end",
                                stream.pcpu, end));
        if ((load(stream.bytes, end) & event_bits) == cpu_change)
            give_up(fmt::format("trace of pCPU {}: byte {} of its ring is a CPU_CHANGE record, which only a file has",
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

std::vector<Record> records_of(Stream const& stream)
{
    std::vector<Record> records;
    std::uint64_t stamp{0};
    for (std::size_t at = 0; stream.bytes.size() - at >= 4;) {
        std::uint32_t const header = load(stream.bytes, at);
        std::size_t const size = record_bytes(header);
        if (size > stream.bytes.size() - at)
            break;
        Record& record = records.emplace_back();
        record.pcpu = stream.pcpu;
        record.event = header & event_bits;
        record.has_stamp = (header & stamp_flag) != 0;
        record.word_count = static_cast<std::uint8_t>((header >> count_shift) & 7u);
        record.offset = at;
        if (record.has_stamp)
            stamp = load(stream.bytes, at + 4) | std::uint64_t{load(stream.bytes, at + 8)} << 32;
        record.stamp = stamp;
        for (std::size_t i = 0; i < record.word_count; ++i)
            record.word_store[i] = load(stream.bytes, at + size - 4 * (record.word_count - i));
        at += size;
    }
    return records;
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

std::string why_no_xentrace(Scenario const& scenario)
{
    if (std::size_t const pcpus = scenario.machine.pcpus.size(); pcpus > highest_number + 1)
        return fmt::format("{}: no xentrace file can be made of {} pCPUs, its readers take pCPUs 0 to {}",
                           scenario.name, pcpus, highest_number);
    for (Domain const& domain : scenario.domains)
        if (domain.vcpus.size() > highest_number + 1)
            return fmt::format("{}: no xentrace file can be made of domain {}'s {} vCPUs, its readers take vCPUs 0 to "
                               "{} of a domain",
                               scenario.name, domain.id, domain.vcpus.size(), highest_number);
    return "";
}

} // namespace hv::nv
