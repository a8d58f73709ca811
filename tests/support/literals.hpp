// Ids from plain numbers, as tests write them. Floor: tests.
#pragma once

#include "arch/generic/types.hpp"

namespace hv::test {

[[nodiscard]] constexpr CpuId cpu(unsigned number) { return CpuId{static_cast<CpuId::Rep>(number)}; }
[[nodiscard]] constexpr NodeId node(unsigned number) { return NodeId{static_cast<NodeId::Rep>(number)}; }
[[nodiscard]] constexpr DomainId domain(unsigned number) { return DomainId{static_cast<DomainId::Rep>(number)}; }

} // namespace hv::test
