#include "tools/nv/bench_ablation.hpp"

#include "sched/guest/memory_model.hpp"

#include <fmt/format.h>

namespace hv::nv {

namespace {

// One member for all classes of the model.
std::string for_all_classes(std::string_view members)
{
    return fmt::format("\"classes\": {{\"jbb\": {{{0}}}, \"memory\": {{{0}}}, \"fork\": {{{0}}}, \"cpu\": {{{0}}}}}",
                       members);
}

BenchSetup with_model(BenchSetup setup, std::string member)
{
    setup.model_members.push_back(std::move(member));
    return setup;
}

} // namespace

std::vector<Ablation> ablations(BenchSetup const& setup)
{
    // Everything about memory off: what is left is who shares a core with whom, and who waits for a pCPU.
    BenchSetup memoryless{with_model(with_model(setup, "\"remote_permille\": 1000"), "\"queueing_permille\": 0")};
    std::string const no_refill{"\"refill_core_ns\": 0, \"refill_node_ns\": 0"};
    std::vector<Ablation> result{
        {"as it is", setup},
        {"no remote latency", with_model(setup, "\"remote_permille\": 1000")},
        {"no contention", with_model(setup, "\"queueing_permille\": 0")},
        {"no sibling sharing",
         with_model(setup, for_all_classes("\"sibling_speed_permille\": 1000, \"sibling_stall_permille\": 1000"))},
        {"no refill after moves", with_model(setup, for_all_classes("\"refill_core_ns\": 0, \"refill_node_ns\": 0"))},
        {"switches, IPIs free", setup},
        {"hardly any stealing", setup},
        {"all idle pCPUs woken", setup},
        // Not switched off but otherwise: what the reference names as candidates for fork.
        {"fork as a burst",
         with_model(setup, "\"classes\": {\"fork\": {\"stall_permille\": 120, \"sibling_stall_permille\": 1600, "
                           "\"traffic_mbps\": 3000}}")},
        {"homes 4:2 and 6:4", setup},
        {"siblings, waits only", with_model(memoryless, for_all_classes(no_refill))},
        {"waits only", with_model(memoryless, for_all_classes(no_refill + ", \"sibling_speed_permille\": 1000, "
                                                                          "\"sibling_stall_permille\": 1000"))},
    };
    result[5].setup.free_machine = true;
    result[6].setup.policy_members.push_back("\"migration_delay_us\": 100000");
    result[7].setup.policy_members.push_back("\"tickle_one_idle\": false");
    result[9].setup.uneven_homes = true;
    return result;
}

} // namespace hv::nv
