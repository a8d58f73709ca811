// A simulated machine with VMs, and the console's commands on it. Floor: tests.
#pragma once

#include "boot/console/session.hpp"
#include "boot/console/trace_text.hpp"
#include "tests/support/sim_fixture.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace hv::console::test {

using sched::test::cpu;
using sched::test::cpus;
using sched::test::ms;
using sched::test::Sim;
using sched::test::SimOptions;

class LinesPort final : public Port {
public:
    void line(std::string_view text) override { lines.emplace_back(text); }
    std::vector<std::string> lines;
};

class SimulatedMachine final : public Machine {
public:
    explicit SimulatedMachine(Sim& sim) : sim_{sim} {}

    [[nodiscard]] sched::System& system() override { return sim_.system(); }
    [[nodiscard]] CpuId self() const override { return on; }
    [[nodiscard]] Instant now() const override { return at; }
    [[nodiscard]] bool interrupts_off() override { return true; }
    void interrupts_restore(bool) override {}
    [[nodiscard]] std::string_view name_of(sched::Domain const& domain) const override
    {
        return names.at(domain.id.value());
    }
    [[nodiscard]] std::uint64_t pages_of(sched::Domain const& domain, NodeId node) const override
    {
        if (only_node)
            return node == *only_node ? 1280 : 0;
        return node.value() == domain.id.value() % 2 ? 1024 : 256;
    }
    [[nodiscard]] VmCondition condition_of(sched::Domain const& domain) const override
    {
        auto const known = conditions.find(domain.id.value());
        return known == conditions.end() ? VmCondition::runs : known->second;
    }
    [[nodiscard]] Result<DomainId, VmRefusal> create(VmRequest const& request) override
    {
        created.push_back(request);
        created_cpus = request.cpus == nullptr ? CpuMask{} : *request.cpus;
        if (request.vcpus > 8)
            return fail(VmRefusal{"no memory left"});
        return DomainId{77};
    }
    [[nodiscard]] Status<VmRefusal> destroy(DomainId id) override
    {
        destroyed.push_back(id);
        return done;
    }
    [[nodiscard]] NodeMemory memory_of(NodeId) const override
    {
        return {.span_pages = 2'097'152,
                .first_page = 256,
                .pages = 1'572'864,
                .free_pages = 1'251'840,
                .dirty_pages = 16,
                .claimed_pages = 2'560};
    }
    [[nodiscard]] std::optional<NodeId> node_of(PhysAddr) const override { return NodeId{0}; }
    void show_registers(Reply& reply) override { reply.say("registers"); }
    void show_clocks(Reply& reply) override { reply.say("clocks"); }
    [[nodiscard]] std::span<char> scratch() override { return notes; }
    [[nodiscard]] MachineFacts facts() const override
    {
        return {.version = "0.1",
                .command_line = "console \"x\"",
                .tsc_khz = 2'000'000,
                .features = {0x178bfbff},
                .has_svm = true};
    }
    void show_log(Reply& reply) override { reply.say("[    0.000000] a line\tof the \"log\""); }
    [[nodiscard]] std::span<RingReader> ring_readers() override { return readers; }
    void keep_showing(Top const& top) override { shown = top; }
    void quit() override { has_quit = true; }

    std::optional<NodeId> only_node; // that has memory of VMs
    CpuId on{0};
    Instant at;
    std::map<unsigned, std::string> names;
    std::map<unsigned, VmCondition> conditions;
    std::vector<VmRequest> created;
    CpuMask created_cpus;
    std::vector<DomainId> destroyed;
    bool has_quit{false};
    std::optional<Top> shown;
    std::vector<RingReader> readers{8};
    std::array<char, 8192> notes{};

private:
    Sim& sim_;
};

// 2 nodes x 4 pCPUs, unless a test wants less.
class ConsoleTest : public ::testing::Test {
protected:
    explicit ConsoleTest(unsigned nodes = 2, unsigned cores = 4, std::string_view policy = "credit")
        : sim{arch::MachineShape::regular(nodes, cores, 1),
              nodes,
              {.policy = sched::find_policy(policy), .trace_bytes_per_pcpu = 65'536}}
    {
    }

    // With a trace of 64 KiB a pCPU.
    Sim sim;
    SimulatedMachine machine{sim};
    LinesPort text_port, json_port;
    Reply text{Form::text, text_port}, json{Form::json, json_port};

    // What the command answers as text, as an event of pCPU 0.
    std::vector<std::string> type(std::string_view line) { return answer(text, text_port, line); }
    std::vector<std::string> request(std::string_view line) { return answer(json, json_port, line); }
    // The only line that it answers.
    std::string reply_to(std::string_view line)
    {
        std::vector<std::string> const lines{type(line)};
        EXPECT_EQ(lines.size(), 1u) << line;
        return lines.empty() ? "" : lines.back();
    }

private:
    std::vector<std::string> answer(Reply& reply, LinesPort& port, std::string_view line)
    {
        port.lines.clear();
        sim.on(0, [&](CpuId self, Instant now) {
            machine.on = self;
            machine.at = now;
            Context context{machine, reply};
            run_line(context, line);
        });
        return port.lines;
    }
};

} // namespace hv::console::test
