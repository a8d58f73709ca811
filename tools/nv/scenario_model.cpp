// The memory cost model of a scenario, and the workloads that it knows.
#include "tools/nv/scenario_parts.hpp"

namespace hv::nv {

namespace {

using namespace hv::scenario;
using sched::guest::ClassParams;
using sched::guest::ModelParams;

struct Limits {
    std::string_view key;
    std::uint32_t low, high;
};

void parse_number(ObjectReader& object, Limits const& limits, std::uint32_t& value)
{
    if (std::optional<Reader> const member = object.maybe(limits.key))
        value = static_cast<std::uint32_t>(member->number(limits.low, limits.high));
}

void parse_class(Reader const& reader, ClassParams& params)
{
    ObjectReader object{reader};
    parse_number(object, {"stall_permille", 0, 1'000}, params.stall_permille);
    parse_number(object, {"sibling_speed_permille", 1, 1'000}, params.sibling_speed_permille);
    parse_number(object, {"sibling_stall_permille", 1, 10'000}, params.sibling_stall_permille);
    parse_number(object, {"traffic_mbps", 0, max_model_mbps}, params.traffic_mbps);
    parse_number(object, {"refill_core_ns", 0, max_refill_ns}, params.refill_core_ns);
    parse_number(object, {"refill_node_ns", 0, max_refill_ns}, params.refill_node_ns);
    object.finish();
}

MemoryModel named(Reader const& reader, std::string const& name)
{
    if (sched::guest::NamedModel const* const model = sched::guest::find_model(name))
        return {.name = name, .params = model->params};
    std::vector<std::string_view> known;
    for (sched::guest::NamedModel const& model : sched::guest::named_models())
        known.push_back(model.name);
    reader.refuse(
        fmt::format("{} is not a memory cost model, allowed are {}", json_string(name), fmt::join(known, ", ")));
}

// A range that may be missing.
void parse_work(ObjectReader& object, std::string_view key, std::uint64_t& low, std::uint64_t& high)
{
    std::optional<Reader> const member = object.maybe(key);
    if (!member)
        return;
    std::vector<Reader> const ends = member->list();
    if (ends.size() != 2)
        member->refuse(fmt::format("{} numbers, a range is [lowest, highest]", ends.size()));
    low = ends[0].number(1, max_work_ns);
    high = ends[1].number(1, max_work_ns);
    if (low > high)
        member->refuse(fmt::format("the range [{}, {}] is empty, give the lower number first", low, high));
}

} // namespace

MemoryModel parse_memory_model(Reader const& reader)
{
    constexpr std::array<std::string_view, sched::guest::task_class_count> class_names{"jbb", "memory", "fork", "cpu"};
    std::string const standard{sched::guest::named_models().front().name};
    if (reader.value().kind == Json::Kind::text)
        return named(reader, reader.text(sizeof(ShortText) - 2));
    ObjectReader object{reader};
    std::optional<Reader> const set = object.maybe("set");
    MemoryModel model = set ? named(*set, set->text(sizeof(ShortText) - 2)) : named(reader, standard);
    ModelParams const original = model.params;
    parse_number(object, {"remote_permille", 1'000, 5'000}, model.params.remote_permille);
    parse_number(object, {"node_mbps", 1, max_model_mbps}, model.params.node_mbps);
    parse_number(object, {"link_mbps", 1, max_model_mbps}, model.params.link_mbps);
    parse_number(object, {"queueing_permille", 0, 2'000}, model.params.queueing_permille);
    if (std::optional<Reader> const classes = object.maybe("classes")) {
        ObjectReader by_name{*classes};
        for (std::size_t i = 0; i < class_names.size(); ++i)
            if (std::optional<Reader> const one = by_name.maybe(class_names[i]))
                parse_class(*one, model.params.classes[i]);
        by_name.finish();
    }
    object.finish();
    if (!(model.params == original))
        model.name += '+';
    return model;
}

std::optional<Workload> parse_model_workload(std::string_view kind, ObjectReader& object)
{
    Workload workload;
    if (kind == "cpu") {
        workload.kind = WorkloadKind::cpu;
    } else if (kind == "jbb" || kind == "memory") {
        bool const jbb = kind == "jbb";
        workload = {.kind = jbb ? WorkloadKind::jbb : WorkloadKind::memory,
                    .run_min_ns = jbb ? 1'000'000u : 5'000'000u,
                    .run_max_ns = jbb ? 3'000'000u : 15'000'000u,
                    .block_min_ns = jbb ? 200'000u : 50'000u,
                    .block_max_ns = jbb ? 600'000u : 150'000u};
        parse_work(object, "run_ns", workload.run_min_ns, workload.run_max_ns);
        parse_work(object, "block_ns", workload.block_min_ns, workload.block_max_ns);
    } else if (kind == "fork") {
        workload = {.kind = WorkloadKind::fork,
                    .partner = static_cast<std::uint16_t>(object["partner"].number(0, max_domain_vcpus - 1)),
                    .has_token = object["parent"].boolean(),
                    .run_min_ns = 150'000,
                    .run_max_ns = 450'000,
                    .block_min_ns = 250'000,
                    .block_max_ns = 750'000};
        parse_work(object, "run_ns", workload.run_min_ns, workload.run_max_ns);
        parse_work(object, "beside_ns", workload.block_min_ns, workload.block_max_ns);
    } else {
        return std::nullopt;
    }
    return workload;
}

} // namespace hv::nv
