#include "tests/fuzz/target.hpp"

namespace hv::fuzz {

std::vector<Target>& targets()
{
    static std::vector<Target> list;
    return list;
}

} // namespace hv::fuzz
