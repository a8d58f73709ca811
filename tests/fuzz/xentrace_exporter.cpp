#include "arch/generic/assert.hpp"
#include "tests/fuzz/target.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/trace_stream.hpp"
#include "tools/nv/xentrace.hpp"

#include <algorithm>
#include <map>

namespace {

using namespace hv::nv;

constexpr std::size_t most_streams = 5;

// Rings as the input has them: the first byte says how many, the second how long windows are; the rest is dealt out in
// equal parts.
std::vector<Stream> streams_of(hv::fuzz::Input input)
{
    std::size_t const count = 1 + input[0] % most_streams;
    std::span<std::byte const> const rest{std::as_bytes(input.subspan(2))};
    std::size_t const part = rest.size() / count;
    std::vector<Stream> streams;
    for (std::size_t i = 0; i < count; ++i) {
        auto const bytes = rest.subspan(i * part, part);
        streams.push_back({static_cast<std::uint32_t>(i * 7 % most_streams), {bytes.begin(), bytes.end()}});
    }
    return streams;
}

} // namespace

// What is not whole records is refused; the rest is read back as it was, byte for byte, whatever the windows.
HV_FUZZ_TARGET(xentrace_exporter)
{
    if (input.size() < 2)
        return;
    std::vector<Stream> const streams{streams_of(input)};
    std::size_t const window = most_record_bytes + input[1];
    std::vector<std::byte> file;
    try {
        file = write_xentrace(streams, window);
    } catch (Error const& error) {
        HV_ASSERT(error.code() == ExitCode::own_failure);
        return;
    }
    TraceStream trace{file};
    std::map<std::uint32_t, std::vector<std::byte>> found;
    while (auto const record = trace.next()) {
        std::vector<std::byte> const bytes{encode(*record)};
        found[record->pcpu].insert(found[record->pcpu].end(), bytes.begin(), bytes.end());
    }
    HV_ASSERT(trace.damage_count() == 0);
    HV_ASSERT(trace.pcpus().size() == streams.size());
    for (Stream const& stream : streams)
        HV_ASSERT(found[stream.pcpu] == stream.bytes);
}
