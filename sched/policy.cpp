#include "sched/policy.hpp"

// NOLINTBEGIN(bugprone-reserved-identifier, readability-identifier-naming): the linker chooses these names.
extern hv::sched::PolicyOps const* const __start_hv_policies[];
extern hv::sched::PolicyOps const* const __stop_hv_policies[];
// NOLINTEND(bugprone-reserved-identifier, readability-identifier-naming)

namespace hv::sched {

std::span<PolicyOps const* const> policies() { return {__start_hv_policies, __stop_hv_policies}; }

PolicyOps const* find_policy(std::string_view name)
{
    for (PolicyOps const* ops : policies()) {
        if (ops->name == name)
            return ops;
    }
    return nullptr;
}

void list_policies(Sink& sink)
{
    std::string_view last;
    while (true) {
        PolicyOps const* following{nullptr};
        for (PolicyOps const* ops : policies())
            if (ops->name > last && (following == nullptr || ops->name < following->name))
                following = ops;
        if (following == nullptr)
            return;
        if (!last.empty())
            sink.write(", ");
        sink.write(following->name);
        last = following->name;
    }
}

} // namespace hv::sched
