#include "tests/explorer/runtime/places.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <map>
#include <memory>

#include <unistd.h>

namespace hv::explorer {

namespace {

using Places = std::map<void const*, std::string>;

// "sched/core.cpp:12" of whatever the compiler was given.
std::string short_name(std::string file)
{
    for (char const* const folder : {"/sched/", "/arch/", "/tests/", "/mm/"})
        if (std::size_t const at = file.rfind(folder); at != std::string::npos)
            return file.substr(at + 1);
    return file;
}

std::string own_name()
{
    std::array<char, 4096> path{};
    return readlink("/proc/self/exe", path.data(), path.size() - 1) > 0 ? std::string{path.data()} : std::string{};
}

// All at once: addr2line takes a moment to read the program. An address is that behind a call.
Places find(std::vector<void const*> const& wanted)
{
    std::string command{"addr2line -afiC -e '" + own_name() + "'"};
    for (void const* const pc : wanted)
        command += fmt::format(" {:#x}", reinterpret_cast<std::uintptr_t>(pc) - 1);
    Places places;
    std::unique_ptr<FILE, int (*)(FILE*)> const out{popen(command.c_str(), "r"), pclose};
    if (out == nullptr)
        return places;
    std::array<char, 4096> line{};
    std::string* now{nullptr};
    std::string function;
    while (std::fgets(line.data(), static_cast<int>(line.size()), out.get()) != nullptr) {
        std::string text{line.data()};
        text.resize(text.find_last_not_of('\n') + 1);
        if (text.rfind("0x", 0) == 0) {
            now = &places[reinterpret_cast<void const*>(std::stoull(text, nullptr, 16) + 1)]; // NOLINT
            function.clear();
        } else if (function.empty()) {
            function = text.substr(0, text.find('('));
            if (std::size_t const space = function.find_last_of(" :"); space != std::string::npos)
                function.erase(0, space + 1);
        } else {
            if (now != nullptr && text.find("/include/c++/") == std::string::npos)
                *now += fmt::format("{}{}, {}", now->empty() ? "" : " < ", function,
                                    short_name(text.substr(0, text.find(" ("))));
            function.clear();
        }
    }
    return places;
}

} // namespace

std::string place_of(void const* pc) { return find({pc})[pc]; }

void print_steps(std::vector<Step> const& steps)
{
    std::map<std::uint32_t, unsigned> touched; // by whom
    std::map<void const*, bool> wanted;
    for (Step const& step : steps) {
        touched[step.offset] |= 1u << step.fiber;
        wanted[step.pc] = step.pc != nullptr;
    }
    std::vector<void const*> list;
    for (auto const& [pc, is] : wanted)
        if (is)
            list.push_back(pc);
    Places const places{find(list)};
    for (Step const& step : steps) {
        unsigned const by{touched[step.offset]};
        if (step.pc == nullptr)
            fmt::print("{:5}  pCPU {}  -- {}{}\n", step.number, step.fiber, step.what,
                       step.value != 0 ? fmt::format(" {:#x}", step.value) : "");
        else if ((by & (by - 1)) != 0)
            fmt::print("{:5}  pCPU {}  {} {:#x} ({:#x})  {}\n", step.number, step.fiber, step.what, step.value,
                       step.offset, places.contains(step.pc) ? places.at(step.pc) : "");
    }
}

} // namespace hv::explorer
