#include "boot/console/affinity_text.hpp"

#include "arch/generic/mask_text.hpp"
#include "boot/console/words.hpp"

namespace hv::console {
namespace {

constexpr std::string_view expected{"expected a number, a range like 0-3, all, or node:N; ^ in front takes away"};

constexpr bool take_front(std::string_view& text, std::string_view what)
{
    if (!text.starts_with(what))
        return false;
    text = trimmed({text.data() + what.size(), text.size() - what.size()});
    return true;
}

struct Item {
    bool takes_away{false}, names_nodes{false}, is_all{false};
    std::uint64_t first{0}, last{0};
};

Result<Item, AffinityError> parse_item(std::string_view const whole)
{
    Item item;
    std::string_view rest{whole};
    item.takes_away = take_front(rest, "^");
    item.names_nodes = take_front(rest, "nodes:") || take_front(rest, "node:");
    if (rest == "all") {
        if (item.takes_away)
            return fail(AffinityError{whole, "all cannot be taken away; leave it out, or name what is to stay"});
        item.is_all = true;
        return item;
    }
    std::size_t const dash{detail::find_char(rest, '-')};
    std::optional<std::uint64_t> const first{number_of(trimmed({rest.data(), dash}))};
    std::optional<std::uint64_t> const last{
        dash == rest.size() ? first : number_of(trimmed({rest.data() + dash + 1, rest.size() - dash - 1}))};
    if (!first || !last)
        return fail(AffinityError{whole, expected});
    if (*last < *first)
        return fail(AffinityError{whole, "the range ends before it begins; give the lower number first"});
    item.first = *first;
    item.last = *last;
    return item;
}

// Cuts the items out of `text` and hands each to apply(item), which says whether it named anything that there is not.
template <typename Apply>
Result<AffinityNotes, AffinityError> for_each_item(std::string_view text, Apply apply)
{
    AffinityNotes notes;
    for (bool more = true; more;) {
        std::size_t const comma{detail::find_char(text, ',')};
        std::string_view const word{trimmed({text.data(), comma})};
        more = comma < text.size();
        text.remove_prefix(more ? comma + 1 : comma);
        if (word.empty())
            continue;
        Result<Item, AffinityError> const item{parse_item(word)};
        if (!item)
            return fail(item.error());
        if (apply(*item) && notes.ignored.empty())
            notes.ignored = word;
    }
    return notes;
}

// Calls visit(i) for what the item names below `limit`; true if it names more than that.
template <typename Visit>
bool for_each_number(Item const& item, unsigned limit, Visit visit)
{
    for (std::uint64_t i = item.first; i <= item.last && i < limit; ++i)
        visit(static_cast<unsigned>(i));
    return item.last >= limit;
}

} // namespace

Result<AffinityNotes, AffinityError> parse_affinity(std::string_view text, Topology const& topology, CpuMask& cpus)
{
    auto const pcpus = static_cast<unsigned>(topology.pcpus.size());
    CpuMask result;
    auto const notes = for_each_item(text, [&](Item const& item) {
        if (item.is_all) {
            result = CpuMask::first_n(pcpus);
            return false;
        }
        CpuMask named;
        bool const beyond{for_each_number(item, item.names_nodes ? topology.node_count() : pcpus, [&](unsigned i) {
            if (item.names_nodes)
                named |= topology.pcpus_of(NodeId{static_cast<NodeId::Rep>(i)});
            else
                named.set(CpuId{static_cast<CpuId::Rep>(i)});
        })};
        if (item.takes_away)
            result -= named;
        else
            result |= named;
        return beyond;
    });
    if (notes)
        cpus = result;
    return notes;
}

Result<AffinityNotes, AffinityError> parse_nodes(std::string_view text, Topology const& topology, NodeMask& nodes)
{
    NodeMask result;
    auto const notes = for_each_item(text, [&](Item const& item) {
        if (item.is_all) {
            result = NodeMask::all();
            return false;
        }
        NodeMask named;
        bool const beyond{for_each_number(item, topology.node_count(),
                                          [&](unsigned i) { named.set(NodeId{static_cast<NodeId::Rep>(i)}); })};
        result = item.takes_away ? result - named : result | named;
        return beyond;
    });
    if (notes) // But for all of them, only those that there are.
        nodes = result == NodeMask::all() ? result : result & topology.nodes();
    return notes;
}

void describe(AffinityError const& error, Sink& sink) { print(sink, "'{}': {}", error.item, error.what); }

void write_map(Sink& sink, CpuMask const& cpus, unsigned limit)
{
    if (cpus == CpuMask::first_n(limit))
        sink.write("all");
    else
        write_runs(sink, cpus);
}

void write_map(Sink& sink, NodeMask nodes, unsigned limit)
{
    if (nodes == NodeMask::first_n(limit))
        sink.write("all");
    else
        write_runs(sink, nodes);
}

} // namespace hv::console
