#include "tools/nv/trace_drain.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/host_channel.hpp"

#include <algorithm>
#include <atomic>

namespace hv::nv {

using namespace sched::trace;

bool TraceDrain::find_rings()
{
    if (sources_)
        return true;
    if (!std::filesystem::exists(channel_))
        return false;
    // The last line may be half written: only whole ones count.
    std::string text = read_text(channel_);
    text.resize(text.rfind('\n') + 1);
    std::optional<std::uint64_t> const directory = parse_host_channel(text).trace_directory;
    if (!directory)
        return false;
    sources_.emplace();
    if (memory_.at<Directory>(*directory).mode != Mode::flight)
        for (GuestRing const& ring : find_guest_rings(memory_, *directory))
            sources_->push_back({.ring = ring, .taken = {}});
    return true;
}

void TraceDrain::poll()
{
    try {
        if (!find_rings())
            return;
        for (Source& source : *sources_)
            advance(source);
    } catch (Error const&) {
        sources_.emplace(); // The guest's numbers make no sense. take() will say so, when the guest is dead.
    }
}

void TraceDrain::advance(Source& source)
{
    if (source.ring.control == nullptr)
        return;
    // acquire: the records below head are complete. An interrupted writer may show an older head for a moment.
    std::uint64_t const head = std::atomic_ref{source.ring.control->head}.load(std::memory_order_acquire);
    std::uint64_t const tail = source.ring.control->tail;
    if (head <= tail)
        return;
    append_ring_bytes(memory_, source.ring, tail, head, source.taken);
    // release: the copy is made before the guest may write there again.
    std::atomic_ref{source.ring.control->tail}.store(head, std::memory_order_release);
}

std::vector<Stream> TraceDrain::fresh()
{
    std::vector<Stream> streams;
    for (std::size_t i = 0; sources_ && i < sources_->size(); ++i) {
        Source& source = (*sources_)[i];
        streams.push_back({source.ring.pcpu,
                           {source.taken.begin() + static_cast<std::ptrdiff_t>(source.told), source.taken.end()}});
        source.told = source.taken.size();
    }
    return streams;
}

Drained TraceDrain::take(std::uint64_t directory)
{
    Drained rest = drain(memory_, directory);
    for (std::size_t i = 0; sources_ && i < sources_->size(); ++i) {
        std::vector<std::byte>& taken = (*sources_)[i].taken;
        taken.insert(taken.end(), rest.streams[i].bytes.begin(), rest.streams[i].bytes.end());
        rest.streams[i].bytes = std::move(taken);
    }
    return rest;
}

} // namespace hv::nv
