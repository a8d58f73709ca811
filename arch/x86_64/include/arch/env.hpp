// The kernel's Env: the bodies are in arch/x86_64/env.cpp, but for the stamp of a trace record, which is read inline. See sched/env.hpp for what each promises.
#pragma once

#include "arch/generic/time.hpp"
#include "arch/generic/topology.hpp"
#include "arch/generic/types.hpp"
#include "arch/x86_64/clock.hpp"

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
    // Two records' readings are at least so far apart: there are twenty instructions between them, and a reading itself
    // waits for all before it.
    static constexpr unsigned trace_clock_gap_ns = 6;
    // Increases strictly, because a record takes longer than a nanosecond: the counter's read alone does.
    [[nodiscard]] std::uint64_t trace_clock(CpuId) noexcept
    {
        return static_cast<std::uint64_t>(clock_at(read_tscp()).ns());
    }
    [[nodiscard]] static constexpr Instant counted_at(Instant, std::uint64_t stamp) noexcept
    {
        return Instant::at_ns(static_cast<std::int64_t>(stamp));
    }
    [[nodiscard]] std::span<std::byte> trace_memory(CpuId cpu) noexcept;
};

} // namespace hv::arch
