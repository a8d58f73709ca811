#include "tools/nv/trace_facts.hpp"

#include "arch/generic/assert.hpp"
#include "tests/fuzz/target.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/feed.hpp"

#include <algorithm>

// Facts are refused with one line that names the file, or make sense: figures can be computed from them, and what was
// run says the same when it is written and read again.
HV_FUZZ_TARGET(trace_facts)
{
    using namespace hv::nv;
    std::string_view const text{reinterpret_cast<char const*>(input.data()), input.size()};
    TraceFacts facts;
    try {
        facts = parse_trace_facts(text, "facts");
    } catch (Error const& error) {
        std::string_view const line{error.what()};
        HV_ASSERT(error.code() == ExitCode::bad_input);
        HV_ASSERT(line.starts_with("facts:") && line.find('\n') == line.npos);
        return;
    }
    for (auto const& [domain, place] : facts.domains)
        HV_ASSERT(!place.home || !place.home->empty());
    if (!facts.run)
        return;
    std::string const again{facts_json(*facts.run)};
    HV_ASSERT(facts_json(*parse_trace_facts(again, "again").run) == again);
    std::size_t vcpus{0};
    for (Domain const& domain : facts.run->scenario.domains)
        vcpus += domain.vcpus.size();
    TraceStream none{std::span<std::byte const>{}};
    if (vcpus < 100)
        HV_ASSERT(!run_json(*facts.run, measure(*facts.run, none)).empty());
}
