#include "arch/generic/assert.hpp"
#include "tests/fuzz/target.hpp"
#include "tools/nv/feed.hpp"
#include "tools/nv/trace_check.hpp"
#include "tools/nv/trace_dump.hpp"
#include "tools/nv/trace_report.hpp"
#include "tools/nv/trace_stream.hpp"

#include <algorithm>
#include <map>

namespace {

using namespace hv::nv;

RecordedRun two_pcpus()
{
    RecordedRun run;
    run.scenario.duration_ns = 1'000'000;
    run.scenario.machine.pcpus = {{0, 0, 0}, {1, 1, 1}};
    run.scenario.machine.node_memory_mib = {1, 1};
    for (std::uint16_t const id : {std::uint16_t{0}, std::uint16_t{1}}) {
        Domain& domain = run.scenario.domains.emplace_back();
        domain.id = id;
        domain.group = "guest";
        domain.preferred_nodes = NodeList{1};
        domain.vcpus.resize(2);
    }
    return run;
}

// Every record lies within the file, and those of one pCPU come in its order.
class Order {
public:
    void record(Record const& record, std::size_t bytes)
    {
        std::size_t const end = record.offset + 4 + (record.has_stamp ? 8 : 0) + 4 * record.words().size();
        HV_ASSERT(end <= bytes);
        auto const [last, is_new] = last_.try_emplace(record.pcpu, record.offset);
        HV_ASSERT(is_new || last->second < record.offset);
        last->second = record.offset;
    }

private:
    std::map<std::uint32_t, std::uint64_t> last_;
};

} // namespace

// Any bytes are read to their end, each damage has a place and a reason, and all that is made of records bears them.
HV_FUZZ_TARGET(xentrace_reader)
{
    std::span<std::byte const> const bytes{std::as_bytes(input)};
    TraceStream first{bytes};
    Losses losses;
    while (auto const record = first.next())
        losses.note(*record);
    for (Damage const& damage : first.damages())
        HV_ASSERT(damage.offset <= bytes.size() && !damage.what.empty());
    TraceStream stream{bytes};
    Summariser summariser{{}, 1'000'000'000, stream.pcpus()};
    Checker checker{losses, false};
    RecordedRun const run{two_pcpus()};
    RunMeter meter{run};
    Order order;
    std::uint64_t count{0};
    while (auto const record = stream.next()) {
        ++count;
        order.record(*record, bytes.size());
        summariser.record(*record);
        checker.record(*record);
        meter.record(*record);
        HV_ASSERT(!dump_line(*record, 0).empty());
    }
    checker.finish();
    HV_ASSERT(stream.damage_count() == first.damage_count());
    TraceFigures const figures{summariser.finish(stream.windows())};
    HV_ASSERT(figures.records == count + stream.windows());
    HV_ASSERT(!trace_text(figures, "t").empty());
    HV_ASSERT(!trace_json(figures, bytes.size(), run_json(run, meter.finish())).empty());
}
