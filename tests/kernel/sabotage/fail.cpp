// Sabotage: a self-test that fails.
#include "boot/selftest.hpp"

HV_SELFTEST(sabotage_fail)
{
    unsigned volatile two{2};
    HV_CHECK(two + two == 5);
}
