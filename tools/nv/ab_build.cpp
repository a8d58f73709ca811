#include "tools/nv/ab_build.hpp"

#include "tools/nv/ab_key.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/process.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <array>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::minutes build_limit{30};
// What a side's own make is told to build in, below its folder.
constexpr std::string_view inner{"build"};

ProcessResult run_quietly(std::vector<std::string> words, fs::path const& folder)
{
    ProcessSpec spec{.words = std::move(words), .folder = folder};
    spec.silence_limit = {};
    spec.total_limit = build_limit;
    return run_process(spec, [](std::string_view) {});
}

std::string compiler_version()
{
    ProcessResult const said{run_quietly({"g++", "-dumpfullversion", "-dumpmachine"}, ".")};
    return said.output;
}

// The first line that is an error of the compiler's or the linker's, else the last one of all.
std::string first_error(std::string_view text)
{
    std::string_view last;
    while (!text.empty()) {
        std::string_view const line{text.substr(0, text.find('\n'))};
        if (line.find("error: ") != line.npos || line.find("undefined reference") != line.npos)
            return std::string{line};
        last = line.empty() ? last : line;
        text.remove_prefix(std::min(text.size(), line.size() + 1));
    }
    return std::string{last};
}

// A file of dependencies, with this folder's name for the output folder instead of its own; false if it does not begin
// with its object, `part` of an output folder.
bool copy_dependencies(fs::path const& from, fs::path const& to, fs::path part)
{
    std::string text{read_text(from)};
    part.replace_extension(".o");
    std::size_t const object{text.find("/" + part.string())}, colon{text.find(':')};
    if (object == std::string::npos || colon == std::string::npos || object > colon)
        return false;
    std::string const own{text.substr(0, object) + "/"}, ours{fmt::format("{}/", inner)};
    for (std::size_t at = 0; (at = text.find(own, at)) != std::string::npos; at += 1)
        if (at == 0 || text[at - 1] == ' ' || text[at - 1] == '\n')
            text.replace(at, own.size(), ours);
    write_text(to, text);
    return true;
}

void copy_as_old(fs::path const& from, fs::path const& to)
{
    fs::create_directories(to.parent_path());
    fs::copy_file(from, to, fs::copy_options::overwrite_existing);
    fs::last_write_time(to, fs::last_write_time(from));
}

} // namespace

AbProgram::AbProgram(AbSide const& side, GitTrees const* trees, AbPlaces const& places, bool with_kernel)
    : side_{side}, trees_{trees}, places_{places}, with_kernel_{with_kernel}
{
    if (!side.tree)
        return;
    trees_->check_out(*side.tree, folder());
    known_ = places.work / "built" / (source_key(folder(), compiler_version()) + (with_kernel ? "-kernel" : "-nv"));
    if (fs::exists(known_))
        key_ = read_text(known_);
}

fs::path AbProgram::nv() const { return side_.tree ? fs::absolute(folder()) / inner / "nv" : places_.self; }

fs::path AbProgram::kernel() const
{
    return side_.tree ? fs::absolute(folder()) / inner / "numavisor.elf" : fs::absolute(places_.own_kernel());
}

std::string const& AbProgram::key()
{
    if (key_.empty())
        build();
    return key_;
}

void AbProgram::build()
{
    if (built_)
        return;
    built_ = true;
    if (side_.tree) {
        if (::isatty(STDERR_FILENO) == 1)
            fmt::print(stderr, "\r\x1b[Kbuilding {} ...", side_.role);
        seed();
        std::vector<std::string> targets{fmt::format("{}/nv", inner)};
        if (with_kernel_)
            targets.push_back(fmt::format("{}/numavisor.elf", inner));
        make(targets);
    } else if (with_kernel_ && !fs::exists(kernel())) {
        refuse(fmt::format("{}: there is no such kernel; make kernel", kernel().string()));
    }
    KeyHash hash;
    hash.add(code_key(nv()));
    if (with_kernel_)
        hash.add(code_key(kernel()));
    key_ = hash.hex();
    if (side_.tree) {
        fs::create_directories(known_.parent_path());
        write_text(known_, key_);
    }
}

// Objects are as good here as where they come from if their sources are the same; files that are the same are therefore
// as old here as there, and make finds out the rest.
void AbProgram::seed() const
{
    fs::path const target{folder() / inner}, marker{target / "seeded"};
    if (fs::exists(marker) || !fs::exists(places_.own / "host"))
        return;
    for (auto const& entry : fs::recursive_directory_iterator{folder()}) {
        fs::path const file{entry.path().lexically_relative(folder())}, theirs{trees_->root() / file};
        if (*file.begin() != inner && entry.is_regular_file() && fs::is_regular_file(theirs) &&
            fs::file_size(theirs) == entry.file_size() && read_text(theirs) == read_text(entry.path()))
            fs::last_write_time(entry.path(), fs::last_write_time(theirs));
    }
    for (char const* const part : {"host", "batches", with_kernel_ ? "kernel" : "host"})
        for (auto const& entry : fs::recursive_directory_iterator{places_.own / part})
            if (entry.is_regular_file() && entry.path().extension() != ".d")
                seed_file(entry.path().lexically_relative(places_.own));
    for (char const* const part : {"take_turns.so", "timeline.html"})
        if (fs::exists(places_.own / part))
            copy_as_old(places_.own / part, target / part);
    write_text(marker, "");
    trees_->accept(folder());
}

// An object without its dependencies would never be compiled again.
void AbProgram::seed_file(fs::path const& file) const
{
    fs::path const target{folder() / inner / file};
    fs::create_directories(target.parent_path());
    if (file.extension() == ".o") {
        fs::path dependencies{file};
        dependencies.replace_extension(".d");
        if (!fs::exists(places_.own / dependencies) ||
            !copy_dependencies(places_.own / dependencies, folder() / inner / dependencies, dependencies))
            return;
    }
    copy_as_old(places_.own / file, target);
}

void AbProgram::make(std::vector<std::string> const& targets) const
{
    // Whoever called us may be a make, too.
    std::vector<std::string> words{"env",
                                   "-u",
                                   "MAKEFLAGS",
                                   "-u",
                                   "MFLAGS",
                                   "-u",
                                   "MAKELEVEL",
                                   "-u",
                                   "MAKEOVERRIDES",
                                   "make",
                                   fmt::format("O={}", inner),
                                   "--no-print-directory"};
    words.insert(words.end(), targets.begin(), targets.end());
    ProcessResult const result{run_quietly(words, folder())};
    fs::path const log{places_.work / (side_.role + "-build.log")};
    write_text(log, result.output + result.errors);
    if (::isatty(STDERR_FILENO) == 1)
        fmt::print(stderr, "\r\x1b[K");
    if (result.ending == Ending::overdue)
        throw Error{ExitCode::timed_out, fmt::format("{}, {}: not built within {} minutes; see {}", side_.role,
                                                     side_.name, build_limit.count(), log.string())};
    if (result.ending == Ending::interrupted)
        give_up("interrupted");
    if (result.status == 0 && result.ending == Ending::exited)
        return;
    fmt::print(stderr, "{}\n", first_error(result.errors.empty() ? result.output : result.errors));
    give_up(fmt::format("{}, {}: does not compile; all messages are in {}", side_.role, side_.name, log.string()));
}

} // namespace hv::nv
