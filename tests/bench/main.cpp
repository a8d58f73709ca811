// Counts the instructions of `credit`'s decisions; to be run by scripts/bench-micro, under callgrind.
#include "tests/bench/cases.hpp"

using namespace hv::bench;

int main()
{
    measure_empty_call();
    hv::sched::PolicyOps const* const credit{hv::sched::find_policy("credit")};
    require(credit != nullptr, "start", "there is no policy credit");
    set_counted_policy(*credit);
    schedule_cases();
    wake_cases();
    pick_and_tick_cases();
    accounting_cases();
}
