// The host's Env: hands every call to a Machine, of which there may be many in one process. See sched/env.hpp for what
// each call promises, and arch/host/*.hpp for the machines.
#pragma once

#include "arch/generic/time.hpp"
#include "arch/generic/topology.hpp"
#include "arch/generic/types.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace hv::arch {

class Machine {
public:
    virtual ~Machine() = default;

    [[nodiscard]] virtual Topology const& topology() const noexcept = 0;
    virtual void tickle(CpuId cpu) noexcept = 0;
    virtual void arm(CpuId cpu, TimerId timer, Instant when) noexcept = 0;
    virtual void disarm(CpuId cpu, TimerId timer) noexcept = 0;
    [[nodiscard]] virtual void* allocate(NodeId node, std::size_t bytes, std::size_t align) noexcept = 0;
    virtual void release(void* memory, std::size_t bytes) noexcept = 0;
    [[nodiscard]] virtual std::uint64_t trace_clock(CpuId cpu) noexcept = 0;
    [[nodiscard]] virtual std::span<std::byte> trace_memory(CpuId cpu) noexcept = 0;
};

class Env {
public:
    // Two records' readings of the trace clock are at least so far apart: time may stand still between them.
    static constexpr unsigned trace_clock_gap_ns = 1;

    explicit Env(Machine& machine) : machine_{machine} {}

    [[nodiscard]] Topology const& topology() const noexcept { return machine_.topology(); }
    void tickle(CpuId cpu) noexcept { machine_.tickle(cpu); }
    void arm(CpuId cpu, TimerId timer, Instant when) noexcept { machine_.arm(cpu, timer, when); }
    void disarm(CpuId cpu, TimerId timer) noexcept { machine_.disarm(cpu, timer); }
    [[nodiscard]] void* allocate(NodeId node, std::size_t bytes, std::size_t align) noexcept
    {
        return machine_.allocate(node, bytes, align);
    }
    void release(void* memory, std::size_t bytes) noexcept { machine_.release(memory, bytes); }
    [[nodiscard]] std::uint64_t trace_clock(CpuId cpu) noexcept { return machine_.trace_clock(cpu); }
    [[nodiscard]] static constexpr Instant counted_at(Instant now, std::uint64_t) noexcept { return now; }
    [[nodiscard]] std::span<std::byte> trace_memory(CpuId cpu) noexcept { return machine_.trace_memory(cpu); }

private:
    Machine& machine_;
};

} // namespace hv::arch
