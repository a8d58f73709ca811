#include "arch/generic/assert.hpp"
#include "tests/fuzz/target.hpp"
#include "tools/nv/ctf.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/page.hpp"
#include "tools/nv/perfetto.hpp"
#include "tools/nv/trace_stream.hpp"

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace hv::nv;

constexpr std::size_t most_pcpus = 64;

// Two nodes with homes, as far as the pCPUs are few; the first byte of the file picks the clock.
TraceFacts facts_for(TraceStream const& stream)
{
    TraceFacts facts;
    facts.names[1] = "a \"guest\" </script>";
    if (stream.pcpus().empty() || stream.pcpus().back() >= most_pcpus)
        return facts;
    for (std::uint16_t pcpu = 0; pcpu < most_pcpus; ++pcpu)
        facts.node_of.push_back(pcpu % 2);
    facts.domains[1].home = std::vector<std::uint16_t>{1};
    return facts;
}

std::uint64_t varint(std::span<std::uint8_t const> bytes, std::size_t& at)
{
    std::uint64_t value{0};
    for (unsigned shift = 0;; shift += 7) {
        HV_ASSERT(at < bytes.size() && shift < 64);
        value |= std::uint64_t{bytes[at] & 127u} << shift;
        if (bytes[at++] < 128)
            return value;
    }
}

// Every packet of the file is whole, and so are its fields.
void check_perfetto(std::span<std::uint8_t const> bytes, unsigned depth = 0)
{
    for (std::size_t at = 0; at < bytes.size();) {
        std::uint64_t const tag = varint(bytes, at);
        HV_ASSERT(tag >> 3 != 0 && (depth != 0 || tag == 10));
        std::uint64_t const type = tag & 7;
        HV_ASSERT(type <= 2);
        std::uint64_t const size = type == 1 ? 8 : varint(bytes, at);
        if (type == 0)
            continue;
        HV_ASSERT(size <= bytes.size() - at);
        if (depth == 0)
            check_perfetto(bytes.subspan(at, size), 1);
        at += size;
    }
}

// Packets lie end to end, and their events are inside their times.
void check_ctf(std::vector<std::uint8_t> const& file)
{
    auto const number = [&](std::size_t at) {
        std::uint64_t value{0};
        HV_ASSERT(at + sizeof value <= file.size());
        std::memcpy(&value, file.data() + at, sizeof value);
        return value;
    };
    std::uint64_t last{0};
    for (std::size_t at = 0; at < file.size();) {
        std::uint64_t const begin = number(at + 24), end = number(at + 32), bits = number(at + 48);
        HV_ASSERT(begin >= last && end >= begin && bits % 8 == 0 && bits / 8 <= file.size() - at && bits >= 8 * 68);
        last = end;
        at += bits / 8;
    }
}

} // namespace

// Any trace becomes well-formed files, and is read to its end.
HV_FUZZ_TARGET(trace_exporters)
{
    std::span<std::byte const> const bytes{std::as_bytes(input)};
    TraceStream stream{bytes};
    if (stream.pcpus().empty())
        return;
    TraceFacts const facts{facts_for(stream)};
    std::uint64_t const hertz = bytes.size() % 3 == 0 ? 1'000'000'000 : bytes.size() % 3 == 1 ? 1'000 : 2'399'999'999;
    MemorySink perfetto_sink, page_sink;
    std::map<std::string, std::vector<std::uint8_t>> files;
    PerfettoExporter perfetto{perfetto_sink, facts, hertz, stream.pcpus()};
    PageOptions options{.title = "</script>", .from = {}, .to = {}};
    if (bytes.size() % 2 != 0)
        options.from = 1e-6;
    PageExporter page{page_sink, "a<!-- the trace -->b", facts, hertz, stream.pcpus(), options};
    CtfExporter ctf{[&](std::string const& name, std::span<std::uint8_t const> more) {
                        files[name].insert(files[name].end(), more.begin(), more.end());
                    },
                    facts, hertz};
    while (auto const record = stream.next()) {
        perfetto.record(*record);
        page.record(*record);
        ctf.record(*record);
    }
    perfetto.finish();
    ctf.finish();
    check_perfetto(perfetto_sink.bytes());
    for (auto const& [name, file] : files)
        if (name != "metadata")
            check_ctf(file);
    try {
        page.finish();
    } catch (Error const& error) {
        HV_ASSERT(error.code() == ExitCode::bad_input);
        return;
    }
    std::string_view const text{page_sink.text()};
    HV_ASSERT(text.starts_with("a<script") && text.ends_with("b"));
}
