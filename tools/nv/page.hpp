// A trace as one page that needs nothing else: the timeline of `nv trace html`. tools/page has its other half, which
// draws.
//
// The page is a template, made at build time (HTML, style, our script and the library that it uses), with the trace in
// the place of a mark: run states and what explains them as a stream of small numbers, compressed; then, as JSON, who
// and what these numbers are. docs/traces.md, "The page's stream", is the contract with tools/page/stream.js.
//
// One pass, memory by the number of vCPUs and pCPUs. One exporter, one thread. Host only. Floor: tools.
#pragma once

#include "tools/nv/packed_text.hpp"
#include "tools/nv/trace_facts.hpp"
#include "tools/nv/trace_timeline.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

// The template's file, in nv's own folder.
inline constexpr char const* page_name = "timeline.html";

struct PageOptions {
    std::string title;
    std::optional<double> from, to; // seconds since the first stamp
};

class PageExporter {
public:
    // `page`: the template. Throws (own_failure) if it lacks its mark, (bad_input) if the facts know of nodes, but not
    // of these pCPUs'.
    PageExporter(ByteSink& sink, std::string_view page, TraceFacts const& facts, std::uint64_t hz,
                 std::span<std::uint32_t const> pcpus, PageOptions options);

    // In the order of stamps.
    void record(Record const& record);
    // Once, last. Throws (bad_input) if the options leave nothing of the trace.
    void finish();

private:
    [[nodiscard]] double seconds_of(Record const& record) const;
    void begin(std::uint64_t when);
    void put_step(Timeline::Step const& step, Record const& record);
    void put_mark(Timeline::Step const& step, Record const& record);
    void put(std::uint64_t number);
    void put_head(std::uint64_t when, std::uint32_t kind);
    [[nodiscard]] std::string about() const;

    ByteSink& sink_;
    std::string_view page_;
    TraceFacts const& facts_;
    PageOptions options_;
    std::vector<std::uint32_t> pcpus_;
    std::uint64_t hz_;
    Timeline timeline_;
    PackedText text_;
    std::vector<std::uint8_t> bytes_; // not yet compressed
    bool is_inside_{false};           // what the options leave out is over
    std::uint64_t first_stamp_{0};
    std::uint64_t first_{0}, begin_{0}, end_{0}, last_{0}; // ns: of the trace, of what is shown, of the last number
    std::uint64_t records_{0}, lost_{0};
};

// The template beside the program. Throws (own_failure) with what makes it.
[[nodiscard]] std::string load_page(std::filesystem::path const& file);

} // namespace hv::nv
