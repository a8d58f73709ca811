// Counts the instructions of a policy's decisions; to be run by scripts/bench-micro, under callgrind.
#include "tests/bench/cases.hpp"

using namespace hv::bench;

int main(int argc, char** argv)
{
    measure_empty_call();
    std::string const name{argc > 1 ? argv[1] : "credit"};
    hv::sched::PolicyOps const* const policy{hv::sched::find_policy(name)};
    require(policy != nullptr && (name == "credit" || name == "numacredit"), "start",
            "cases are for credit and numacredit");
    set_counted_policy(*policy);
    if (name == "numacredit") {
        numacredit_cases();
        return 0;
    }
    schedule_cases();
    wake_cases();
    pick_and_tick_cases();
    accounting_cases();
}
