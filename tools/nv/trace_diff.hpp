// Where two traces part. Of each pCPU the n-th record of the one is held against the n-th of the other; records are the
// same if event and words are, whatever the stamps. The first divergence is the earliest record, over all pCPUs, that
// is not the same or that the other trace lacks. Records that are the same but come at another time are a shift.
//
// Times are ns since each trace's first stamp. What is compared: classes of events (a number's bits 12-27) that both
// traces have, of pCPUs that both have; LOST records by their count only; none of the tracer's own (hello, stats,
// wrap). Memory: what one trace has and the other has not reached, at most most_pending records. Host only. Floor:
// tools.
#pragma once

#include "tools/nv/trace_stream.hpp"
#include "tools/nv/trace_summary.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace hv::nv {

// A record and when it was: ns since the first stamp of its trace, not before an earlier record.
struct Timed {
    Record record;
    std::int64_t ns{0};
};

// The records of a trace with their times. The stream must outlive it.
class TimedStream {
public:
    TimedStream(TraceStream& stream, std::uint64_t hz) : stream_{stream}, ns_a_tick_{1e9 / static_cast<double>(hz)} {}

    [[nodiscard]] std::optional<Timed> next();

private:
    TraceStream& stream_;
    double ns_a_tick_;
    std::optional<std::uint64_t> first_;
    std::int64_t now_{0};
};

struct Divergence {
    std::uint32_t pcpu{0};
    std::uint64_t index{0};     // of the record among those of its pCPU that are compared, from 0
    std::int64_t ns{0};         // of the earlier of the two
    std::optional<Record> a, b; // nothing: that trace has no further record of this pCPU
};

struct Shift {
    std::uint64_t count{0}; // records that are the same but further apart than the tolerance
    std::uint32_t pcpu{0};  // of the first of them
    std::uint64_t index{0};
    std::int64_t ns{0};       // in A
    std::int64_t first_by{0}; // ns that B is later, there
    std::int64_t largest{0};  // of all, by absolute value
};

// Of two traces: what both have.
struct Common {
    std::set<std::uint32_t> classes, only_a, only_b; // event & class_bits
    std::set<std::uint32_t> pcpus, pcpus_only_a, pcpus_only_b;

    static constexpr std::uint32_t class_bits = 0x0fff'f000;

    [[nodiscard]] static Common of(TraceFigures const& a, TraceFigures const& b);
};

// Feed it both traces, always the one that is behind in time; then ask.
class Comparer {
public:
    static constexpr std::size_t most_pending = 400'000;

    enum class Side { a, b };
    enum class What {
        records, // every record
        switches // run state changes only: what was decided
    };

    Comparer(Common const& common, What what, std::int64_t tolerance_ns)
        : common_{common}, what_{what}, tolerance_ns_{tolerance_ns}
    {
    }

    void record(Side side, Timed const& timed);
    // That trace has no more.
    void end(Side side);
    // Nothing that is still to come can be an earlier divergence than first().
    [[nodiscard]] bool is_settled() const;

    [[nodiscard]] std::optional<Divergence> const& first() const { return first_; }
    [[nodiscard]] Shift const& shift() const { return shift_; } // before each pCPU's own divergence
    [[nodiscard]] std::uint64_t same() const { return same_; }  // pairs

private:
    struct Lane {                // of a pCPU
        std::deque<Timed> ahead; // of the side that is ahead
        Side side{Side::a};
        std::uint64_t index{0}; // of the next pair
        bool diverged{false};
    };

    [[nodiscard]] bool counts(Record const& record) const;
    void pair(std::uint32_t pcpu, Lane& lane, Timed const& a, Timed const& b);
    void diverge(std::uint32_t pcpu, Lane& lane, std::int64_t ns, Record const* a, Record const* b);
    void give_up_lanes(bool all);

    Common const& common_;
    What what_;
    std::int64_t tolerance_ns_;
    std::map<std::uint32_t, Lane> lanes_;
    std::size_t pending_{0};
    bool ended_[2]{};
    std::int64_t reached_[2]{};
    std::optional<Divergence> first_;
    Shift shift_;
    std::uint64_t same_{0};
};

[[nodiscard]] bool same_record(Record const& a, Record const& b);

struct Comparison {
    std::optional<Divergence> records, switches;
    Shift shift;
    std::uint64_t same{0};
};

// Reads both to where they are settled, or to their ends.
[[nodiscard]] Comparison compare(TimedStream a, TimedStream b, Common const& common, std::int64_t tolerance_ns);

} // namespace hv::nv
