// The sub-commands that turn a trace into something for another viewer: all are one pass over the records.
#include "tools/nv/ctf.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/page.hpp"
#include "tools/nv/perfetto.hpp"
#include "tools/nv/trace_command.hpp"
#include "tools/nv/trace_input.hpp"
#include "tools/nv/trace_progress.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

namespace hv::nv {

namespace {

constexpr std::uintmax_t easy_page_bytes = std::uintmax_t{50} << 20; // for a browser

// `make_exporter(facts, hertz, pcpus)`: has record() and finish(). Not called for a file without any pCPU.
template <typename MakeExporter>
ExitCode convert(TraceOptions const& options, MakeExporter const& make_exporter)
{
    TraceInput input{options};
    if (input.pcpus.empty())
        return report_damage(input.stream, options.file);
    auto exporter = make_exporter(input.facts, input.hertz, input.pcpus);
    {
        Progress progress{options.file, input.file.bytes().size()};
        while (std::optional<Record> const record = input.stream.next()) {
            progress.read(*record);
            exporter.record(*record);
        }
    }
    exporter.finish();
    return report_damage(input.stream, options.file);
}

} // namespace

ExitCode trace_perfetto(TraceOptions const& options)
{
    std::optional<FileSink> sink;
    ExitCode const code = convert(options, [&](TraceFacts const& facts, std::uint64_t hertz, auto const& pcpus) {
        require_nodes(facts, pcpus);
        sink.emplace(options.output);
        return PerfettoExporter{*sink, facts, hertz, pcpus};
    });
    if (sink)
        sink->close();
    return code;
}

ExitCode trace_ctf(TraceOptions const& options)
{
    std::filesystem::path const folder{options.output};
    auto const append = [&](std::string const& file, std::span<std::uint8_t const> bytes) {
        FileSink sink{folder / file, FileSink::Mode::append};
        sink.write(bytes);
        sink.close();
    };
    return convert(options, [&](TraceFacts const& facts, std::uint64_t hertz, auto const&) {
        std::error_code error;
        // Nothing is overwritten: what lies there might be read as a part of this trace.
        if (std::filesystem::exists(folder) && !std::filesystem::is_empty(folder, error))
            refuse(fmt::format("{}: is there already; give a folder that is new or empty", options.output));
        if (!std::filesystem::create_directories(folder, error) && error)
            give_up(fmt::format("{}: cannot make the folder: {}", options.output, error.message()));
        return CtfExporter{append, facts, hertz};
    });
}

ExitCode trace_html(TraceOptions const& options, std::filesystem::path const& page_file)
{
    if (options.from && options.to && *options.from >= *options.to)
        refuse(fmt::format("--from {} --to {}: leaves nothing; --to must be later", *options.from, *options.to));
    std::string const page{load_page(page_file)};
    PageOptions page_options{.title = options.file, .from = options.from, .to = options.to};
    std::optional<FileSink> sink;
    ExitCode const code = convert(options, [&](TraceFacts const& facts, std::uint64_t hertz, auto const& pcpus) {
        require_nodes(facts, pcpus);
        if (facts.run)
            page_options.title = fmt::format("{}, {}, seed {}", facts.run->scenario.name, facts.run->scenario.policy,
                                             facts.run->scenario.seed);
        sink.emplace(options.output);
        return PageExporter{*sink, page, facts, hertz, pcpus, page_options};
    });
    if (sink)
        sink->close();
    std::error_code ignored;
    if (sink && std::filesystem::file_size(options.output, ignored) > easy_page_bytes)
        fmt::print(stderr, "nv: {}: weighs {} MiB, which browsers are slow to open; --from and --to make it smaller\n",
                   options.output, std::filesystem::file_size(options.output, ignored) >> 20);
    return code;
}

} // namespace hv::nv
