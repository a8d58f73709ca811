// Takes records out of the rings of a running guest, so that they never fill (live mode only: a run that is to be
// repeated must not be touched by the clock of the host).
//
// The guest writes a ring's head, this writes its tail: a position of the start of a record, below which the guest may
// write again. Call poll() often enough for the rings: every 20 ms, one of 1 MiB takes two million records a second.
// What was taken stays here until take(), which puts what the dead guest still had behind it. One thread. Host only.
// Floor: tools.
#pragma once

#include "tools/nv/trace_memory.hpp"

#include <filesystem>
#include <optional>
#include <vector>

namespace hv::nv {

class TraceDrain {
public:
    // `channel`: the file of the kernel's host channel, which will say where the directory is.
    TraceDrain(std::vector<std::filesystem::path> const& memory, std::filesystem::path channel)
        : memory_{memory}, channel_{std::move(channel)}
    {
    }

    // While the guest runs. Nothing happens before the kernel has said where its rings are, nor in flight mode.
    void poll();
    // Of each ring, what poll() took since the last call. In the order of the directory; empty before it is known.
    [[nodiscard]] std::vector<Stream> fresh();
    // When it is dead.
    [[nodiscard]] Drained take(std::uint64_t directory);

private:
    struct Source {
        GuestRing ring;
        std::vector<std::byte> taken;
        std::size_t told{0}; // bytes of it that fresh() returned
    };

    [[nodiscard]] bool find_rings();
    void advance(Source& source);

    GuestMemory memory_;
    std::filesystem::path channel_;
    std::optional<std::vector<Source>> sources_;
};

} // namespace hv::nv
