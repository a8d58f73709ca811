// The kernel's Env: declarations only, the bodies are in arch/x86_64/env.cpp. See sched/env.hpp for what each promises.
#pragma once

#include "arch/generic/time.hpp"
#include "arch/generic/topology.hpp"
#include "arch/generic/types.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace hv::arch {

class Env {
public:
    [[nodiscard]] Topology const& topology() const noexcept;
    void tickle(CpuId cpu) noexcept;
    void arm(CpuId cpu, TimerId timer, Instant when) noexcept;
    void disarm(CpuId cpu, TimerId timer) noexcept;
    [[nodiscard]] void* allocate(NodeId node, std::size_t bytes, std::size_t align) noexcept;
    void release(void* memory, std::size_t bytes) noexcept;
    [[nodiscard]] std::uint64_t trace_clock(CpuId cpu) noexcept;
    [[nodiscard]] std::span<std::byte> trace_memory(CpuId cpu) noexcept;
};

} // namespace hv::arch
