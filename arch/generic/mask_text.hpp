// A set of pCPUs or nodes in words: "none", or ascending runs like "0-3,5". No state, no locks. Floor: arch/generic.
#pragma once

#include "arch/generic/format.hpp"
#include "arch/generic/mask.hpp"

namespace hv {

template <typename Mask>
void write_runs(Sink& sink, Mask const& mask)
{
    if (mask.empty())
        return sink.write("none");
    std::string_view separator;
    for (auto first = mask.first(); first;) {
        auto last = *first;
        auto next = mask.next(last);
        while (next && next->value() == last.value() + 1) {
            last = *next;
            next = mask.next(last);
        }
        print(sink, "{}{}", separator, *first);
        if (last != *first)
            print(sink, "-{}", last);
        separator = ",";
        first = next;
    }
}

} // namespace hv
