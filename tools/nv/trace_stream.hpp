// The records of a xentrace file of any size, one after the other in the order of stamps: what `nv trace` reads.
//
// Unlike Trace (xentrace.hpp), which refuses what is not perfect, a TraceStream reads around damage: a record that
// cannot be is where the rest of its window is given up, a window that cannot be is where the next plausible one is
// looked for. Each damage is a line with its offset. Memory, whatever the size of the file: a cursor for each pCPU, the
// windows by which one pCPU's are ahead of another's, and of a MappedFile as much as is touched between two releases.
// Host only. Floor: tools.
#pragma once

#include "tools/nv/xentrace.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hv::nv {

// A file's bytes, read as they are asked for. Throws (bad_input) if it cannot be opened.
class MappedFile {
public:
    explicit MappedFile(std::filesystem::path const& file);
    ~MappedFile();
    MappedFile(MappedFile const&) = delete;
    MappedFile& operator=(MappedFile const&) = delete;

    [[nodiscard]] std::span<std::byte const> bytes() const { return bytes_; }
    // Gives the memory of what was read back to the system; it is read again if it is needed again.
    void release() const;

private:
    std::span<std::byte const> bytes_;
};

struct Damage {
    std::uint64_t offset;
    std::string what;
};

class TraceStream {
public:
    static constexpr std::uint32_t most_pcpus = 4096;
    static constexpr std::size_t most_damages = 20; // that are kept; damage_count() counts them all

    // Looks at every window, not yet into it. The bytes, or the file, must outlive the stream.
    explicit TraceStream(std::span<std::byte const> bytes) : TraceStream{bytes, nullptr} {}
    explicit TraceStream(MappedFile const& file) : TraceStream{file.bytes(), &file} {}
    // Cursors refer to one another.
    TraceStream(TraceStream const&) = delete;
    TraceStream& operator=(TraceStream const&) = delete;

    // The next record of all pCPUs in the order of stamps; equal ones in the order of the file. Nothing at the end.
    // CPU_CHANGE records are not among them: windows() counts those.
    [[nodiscard]] std::optional<Record> next();

    [[nodiscard]] std::vector<std::uint32_t> pcpus() const; // ascending
    [[nodiscard]] std::uint64_t windows() const { return windows_; }
    // Complete once next() has returned nothing.
    [[nodiscard]] std::vector<Damage> const& damages() const { return damages_; }
    [[nodiscard]] std::uint64_t damage_count() const { return damage_count_; }

private:
    struct Window {
        std::size_t head, begin, end; // end: where its bytes end, at most where the file ends
        std::uint32_t pcpu;
        bool cut; // the file ends inside it
    };
    struct Cursor {
        std::deque<Window> ahead; // found, not yet begun
        std::optional<Window> window;
        std::size_t last_head{0}; // where its last window begins
        std::size_t at{0};
        std::uint64_t stamp{0};
        Record record;
    };

    TraceStream(std::span<std::byte const> bytes, MappedFile const* file);
    void touch(std::size_t bytes);
    void report(std::uint64_t offset, std::string what);
    [[nodiscard]] bool is_window(std::size_t at) const;
    // The first window at or after `at`, which is a window's end; `all` also reports what is wrong there.
    [[nodiscard]] std::optional<Window> window_at(std::size_t at, bool all);
    [[nodiscard]] bool next_window(Cursor& cursor);
    [[nodiscard]] bool decode(Cursor& cursor);
    [[nodiscard]] bool advance(Cursor& cursor);
    [[nodiscard]] static bool is_later(Cursor const* one, Cursor const* other);

    std::span<std::byte const> bytes_;
    MappedFile const* file_;
    std::size_t touched_{0};
    std::map<std::uint32_t, Cursor> cursors_; // by pCPU
    std::size_t searched_{0};                 // windows before it are in a cursor's `ahead`, or done
    Cursor* first_{nullptr};                  // has the next record
    std::vector<Cursor*> others_;             // a heap: the earliest of the others on top
    std::vector<Damage> damages_;
    std::uint64_t damage_count_{0}, windows_{0};
};

} // namespace hv::nv
