#include "tools/nv/matching.hpp"

#include <algorithm>
#include <map>
#include <vector>

namespace hv::nv {

namespace {

// Augmenting paths (Kuhn): each vCPU tries for a pCPU, asking its holder to move elsewhere.
class Matcher {
public:
    Matcher(CpuMask const& idle, std::span<CpuMask const* const> allowed) : idle_{idle}, allowed_{allowed} {}

    [[nodiscard]] bool place(std::size_t vcpu, CpuMask& tried)
    {
        for (CpuId const cpu : idle_&* allowed_[vcpu]) {
            if (tried.test(cpu))
                continue;
            tried.set(cpu);
            auto const holder = holder_.find(cpu.value());
            if (holder == holder_.end() || place(holder->second, tried)) {
                holder_[cpu.value()] = vcpu;
                return true;
            }
        }
        return false;
    }

private:
    CpuMask const& idle_;
    std::span<CpuMask const* const> allowed_;
    std::map<unsigned, std::size_t> holder_;
};

} // namespace

std::size_t max_matching(CpuMask const& idle, std::span<CpuMask const* const> allowed)
{
    // Who may run on every idle pCPU takes what the others leave.
    std::vector<CpuMask const*> bound;
    for (CpuMask const* const mask : allowed)
        if (!idle.is_subset_of(*mask))
            bound.push_back(mask);
    Matcher matcher{idle, bound};
    std::size_t matched{0};
    for (std::size_t vcpu = 0; vcpu < bound.size() && matched < idle.count(); ++vcpu) {
        CpuMask tried;
        matched += matcher.place(vcpu, tried) ? 1u : 0u;
    }
    return std::min<std::size_t>(idle.count(), matched + (allowed.size() - bound.size()));
}

} // namespace hv::nv
