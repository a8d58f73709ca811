#include "tools/nv/ab_build.hpp"

#include "tools/nv/ab_key.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/process.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::minutes build_limit{30};
// What a side's own make is told to build in, below its folder.
constexpr std::string_view inner{"build"};
// Of it, where objects are; the first one has all of nv's.
constexpr std::array<std::string_view, 3> object_parts{"host", "kernel", "guest"};
constexpr std::string_view rules_file{"compiled-by"};

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

// make in `folder`, whatever make may have called us.
ProcessResult run_make(fs::path const& folder, std::span<std::string const> targets)
{
    std::vector<std::string> words{"env"};
    for (char const* const variable : {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"})
        words.insert(words.end(), {"-u", variable});
    words.insert(words.end(), {"make", fmt::format("O={}", inner), "--no-print-directory"});
    words.insert(words.end(), targets.begin(), targets.end());
    return run_quietly(words, folder);
}

// How objects are compiled in a tree, which no object says of itself.
std::string rules_of(fs::path const& tree)
{
    fs::path const batches{tree / "scripts/compile-batch"};
    return compile_rules(read_text(tree / "Makefile")) + (fs::exists(batches) ? read_text(batches) : "") +
           compiler_version();
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
        keep_to_rules();
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

// Objects that were compiled in another way are of no use, and make would not notice.
void AbProgram::keep_to_rules() const
{
    fs::path const target{folder() / inner}, file{target / rules_file};
    std::string const rules{rules_of(folder())};
    if (fs::exists(file) && read_text(file) == rules)
        return;
    for (std::string_view const part : object_parts)
        fs::remove_all(target / part);
    fs::create_directories(target);
    write_text(file, rules);
}

// From beside this program, if that was built from this repository as it is, and from the other side.
void AbProgram::seed() const
{
    std::string const rules{rules_of(folder())};
    fs::path const origin{places_.own / "built-from"};
    if (fs::exists(origin) && read_text(origin) == trees_->root().string() + "\n" && rules_of(trees_->root()) == rules)
        seed_from({trees_->root(), places_.own});
    fs::path const other{places_.work / (side_.role == "base" ? "change" : "base")};
    fs::path const other_rules{other / inner / rules_file};
    if (fs::exists(other_rules) && read_text(other_rules) == rules)
        seed_from({other, other / inner});
}

void AbProgram::seed_from(BuildTree const& from) const
{
    std::span<std::string_view const> const parts{object_parts};
    seed_objects(from, {folder(), folder() / inner}, with_kernel_ ? parts : parts.first(1),
                 [&](std::span<std::string const> lists) {
                     std::vector<std::string> targets;
                     for (std::string const& list : lists)
                         targets.push_back(fmt::format("{}/{}", inner, list));
                     // A tree that knows no such lists has no objects of them either.
                     static_cast<void>(run_make(folder(), targets));
                 });
}

void AbProgram::make(std::vector<std::string> const& targets) const
{
    ProcessResult const result{run_make(folder(), targets)};
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
