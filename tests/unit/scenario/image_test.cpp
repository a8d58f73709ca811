#include "boot/scenario/image.hpp"

#include "tests/unit/nv/sample_scenario.hpp"
#include "tools/nv/pack.hpp"
#include "tools/nv/scenario.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace hv::scenario {
namespace {

using Image = std::vector<std::byte>;

Image full_image() { return nv::pack(nv::parse_scenario(nv::test::full_scenario, "f.json")); }

void patch_checksum(Image& image)
{
    std::uint32_t const sum = image_checksum(image);
    std::memcpy(image.data() + offsetof(Header, checksum), &sum, sizeof sum);
}

template <typename T>
void poke(Image& image, std::size_t offset, T value)
{
    std::memcpy(image.data() + offset, &value, sizeof value);
    patch_checksum(image);
}

TableRef table(Image const& image, Table which)
{
    Header header;
    std::memcpy(&header, image.data(), sizeof header);
    return header.tables[static_cast<std::size_t>(which)];
}

std::string refusal(Image const& image)
{
    auto const view = validate(image);
    if (view.ok())
        return "";
    std::array<char, 256> buffer{};
    BufferSink sink{buffer};
    describe(view.error(), sink);
    EXPECT_FALSE(sink.truncated());
    return std::string{sink.text()};
}

CpuMask mask_of(std::initializer_list<std::uint16_t> cpus)
{
    CpuMask mask;
    for (std::uint16_t const cpu : cpus)
        mask.set(CpuId{cpu});
    return mask;
}

// Touches everything that a view gives access to, as a kernel would.
std::uint64_t walk(ScenarioView view)
{
    std::uint64_t sum = view.name().size() + view.label().size() + view.description().size() + view.policy().size();
    for (DomainRecord const& domain : view.domains()) {
        sum += ScenarioView::text(domain.name).size() + ScenarioView::text(domain.group).size();
        sum += ScenarioView::node_affinity(domain).value_or(NodeMask{}).count();
        for (VcpuRecord const& vcpu : view.vcpus(domain)) {
            sum += view.pcpus()[vcpu.initial_pcpu].node;
            sum += view.hard_affinity(domain, vcpu).count() + view.soft_affinity(vcpu).value_or(CpuMask{}).count();
            WorkloadSpec const work = view.workload(vcpu);
            EXPECT_LE(work.run_min, work.run_max);
            EXPECT_LE(work.block_min, work.block_max);
            EXPECT_LT(work.partner.value(), domain.vcpu_count);
        }
    }
    for (PcpuRecord const& pcpu : view.pcpus())
        sum += view.distances()[pcpu.node * view.nodes().size()];
    for (ParamRecord const& param : view.params())
        sum += ScenarioView::text(param.key).size();
    return sum;
}

TEST(ScenarioImage, SaysWhatTheFileSaid)
{
    Image const image = full_image();
    auto const result = validate(image);
    ASSERT_TRUE(result.ok()) << refusal(image);
    ScenarioView const view = *result;
    EXPECT_EQ(view.name(), "full");
    EXPECT_EQ(view.label(), "a label");
    EXPECT_EQ(view.description(), "uses every key");
    EXPECT_EQ(view.policy(), "numacredit");
    EXPECT_EQ(view.seed(), ~0ull);
    EXPECT_EQ(view.warmup(), Duration::from_us(1));
    EXPECT_EQ(view.duration(), Duration::from_ms(2));
    EXPECT_EQ(view.tslice(), Duration::from_ms(10));
    EXPECT_EQ(view.ratelimit(), Duration{});
    EXPECT_EQ(view.trace_mask(), 0x2f000u);
    EXPECT_EQ(view.trace_ring_kib(), 64u);
    EXPECT_TRUE(view.firmware_numa());
    EXPECT_EQ(view.costs().cpu_bringup_stagger.ns(), 1);
    EXPECT_EQ(view.costs().ipi.ns(), 2);
    EXPECT_EQ(view.costs().ctxsw.ns(), 3);
    EXPECT_EQ(view.costs().timer_late.ns(), 4);
    EXPECT_EQ(view.pcpus()[2].node, 1u);
    EXPECT_EQ(view.pcpus()[2].socket, 1u);
    EXPECT_EQ(view.pcpus()[3].core, 1u);
    EXPECT_EQ(view.nodes()[1].memory_mib, 0u);
    EXPECT_EQ(view.distances()[3], 21u);
    EXPECT_EQ(view.param("steal"), 1);
    EXPECT_EQ(view.param("depth"), -3);
    EXPECT_EQ(view.param("width"), std::nullopt);
}

TEST(ScenarioImage, SaysWhatTheFileSaidOfDomains)
{
    Image const image = full_image();
    ScenarioView const view = *validate(image);
    ASSERT_EQ(view.domains().size(), 2u);
    DomainRecord const& db = view.domains()[0];
    DomainRecord const& other = view.domains()[1];
    EXPECT_EQ(db.id, 7u);
    EXPECT_EQ(db.weight, 512u);
    EXPECT_EQ(db.cap, 150u);
    EXPECT_EQ(db.start_ns, 5u);
    EXPECT_EQ(db.memory_mib, 32u);
    EXPECT_EQ(db.memory_policy, MemoryPolicy::interleave);
    EXPECT_EQ(ScenarioView::memory_nodes(db)->bits(), 5u);
    EXPECT_EQ(ScenarioView::node_affinity(db)->bits(), 5u);
    EXPECT_EQ(ScenarioView::preferred_nodes(db)->bits(), 1u);
    EXPECT_FALSE(ScenarioView::node_affinity(other));
    EXPECT_EQ(ScenarioView::text(other.name), "dom3");
    EXPECT_EQ(view.hard_affinity(db, view.vcpus(db)[0]), mask_of({0, 1, 3})); // the domain's
    EXPECT_EQ(view.hard_affinity(db, view.vcpus(db)[1]), mask_of({2}));       // its own
    EXPECT_EQ(view.hard_affinity(other, view.vcpus(other)[0]), CpuMask::first_n(4));
    EXPECT_EQ(view.soft_affinity(view.vcpus(db)[1]), mask_of({2, 3}));
    EXPECT_FALSE(view.soft_affinity(view.vcpus(db)[0]));
    WorkloadSpec const ping = view.workload(view.vcpus(db)[0]);
    EXPECT_TRUE(ping.kind == WorkloadKind::pingpong && ping.has_token);
    EXPECT_EQ(ping.partner, VcpuIndex{1});
    EXPECT_EQ(ping.run_max.ns(), 50);
    WorkloadSpec const burst = view.workload(view.vcpus(db)[2]);
    EXPECT_EQ(burst.run_min.ns() * 1000 + burst.run_max.ns() * 100 + burst.block_min.ns() * 10 + burst.block_max.ns(),
              1234);
    EXPECT_EQ(view.workload(view.vcpus(other)[1]).period.ns(), 100);
    EXPECT_EQ(view.workload(view.vcpus(other)[2]).guard.ns(), 10);
}

TEST(ScenarioImage, LongMachinesHaveLongMasks)
{
    std::string cpus;
    for (unsigned i = 0; i < 130; ++i)
        cpus += (i == 0 ? "" : ",") + std::string{"{\"cpu\":"} + std::to_string(i) +
                ",\"node\":0,\"socket\":0,\"core\":" + std::to_string(i) + "}";
    std::string const text =
        "{\"schema\":\"credit-scenario/2\",\"name\":\"long\",\"seed\":0,\"duration_ns\":1,\"machine\":{\"cpus\":[" +
        cpus +
        "]},\"domains\":[{\"id\":0,\"hard_affinity\":[63,64,129],\"vcpus\":[{\"initial_cpu\":129,\"workload\":{"
        "\"kind\":\"hog\"}}]}]}";
    Image const image = nv::pack(nv::parse_scenario(text, "long"));
    ScenarioView const view = *validate(image);
    EXPECT_EQ(view.hard_affinity(view.domains()[0], view.all_vcpus()[0]), mask_of({63, 64, 129}));
}

TEST(ScenarioImage, MayBeFollowedByTheRestOfAPage)
{
    Image image = full_image();
    image.resize(image.size() + 100, std::byte{0xff});
    EXPECT_EQ(refusal(image), "");
}

TEST(ScenarioImage, RefusesEveryTruncation)
{
    Image const image = full_image();
    for (std::size_t size = 0; size < image.size(); ++size)
        EXPECT_FALSE(validate(std::span{image}.first(size)).ok()) << size;
}

TEST(ScenarioImage, RefusesEveryChangedByte)
{
    Image const image = full_image();
    for (std::size_t at = 0; at < image.size(); ++at) {
        Image bad = image;
        bad[at] ^= std::byte{0x10};
        EXPECT_FALSE(validate(bad).ok()) << "byte " << at;
    }
}

// Whoever makes a bad image on purpose makes its checksum right.
TEST(ScenarioImage, AChangedByteWithTheRightChecksumIsRefusedOrHarmless)
{
    Image const image = full_image();
    unsigned refused{0}, accepted{0};
    for (std::size_t at = 0; at < image.size(); ++at) {
        for (unsigned const value : {0x00u, 0x01u, 0x02u, 0x7fu, 0x80u, 0xffu}) {
            Image bad = image;
            bad[at] = std::byte{static_cast<unsigned char>(value)};
            if (at < offsetof(Header, checksum) || at >= offsetof(Header, seed))
                patch_checksum(bad);
            auto const view = validate(bad);
            view.ok() ? ++accepted : ++refused;
            if (view.ok()) {
                EXPECT_NE(walk(*view), 0u);
            }
        }
    }
    EXPECT_GT(refused, image.size());
    EXPECT_GT(accepted, 0u);
}

TEST(ScenarioImage, NamesFieldPlaceAndRange)
{
    Image const image = full_image();
    std::size_t const domain = table(image, Table::domains).offset, second = domain + sizeof(DomainRecord);
    std::size_t const vcpu = table(image, Table::vcpus).offset;
    std::size_t const pcpus = table(image, Table::pcpus).offset, masks = table(image, Table::masks).offset;
    auto const said = [&](std::size_t offset, auto value) {
        Image bad = image;
        poke(bad, offset, value);
        return refusal(bad);
    };
    using U16 = std::uint16_t;
    using U32 = std::uint32_t;
    using U64 = std::uint64_t;
    EXPECT_EQ(said(second + offsetof(DomainRecord, weight), U16{0}),
              "scenario image: domain[1].weight at byte 0x30a is 0, allowed is 1 to 65535");
    EXPECT_EQ(said(0, U32{1}), "scenario image: header.magic at byte 0x0 is 1, allowed is 1129535048");
    EXPECT_EQ(said(4, U16{1}), "scenario image: header.version at byte 0x4 is 1, allowed is 4");
    EXPECT_NE(said(domain, U16{32'767}).find("domain[0].id"), std::string::npos);
    EXPECT_NE(said(second, U16{7}).find("domain[1].id at byte 0x308 is 7, allowed is a number that no other"),
              std::string::npos);
    EXPECT_NE(said(domain + offsetof(DomainRecord, hard_mask), U32{99}).find("a row of the mask table"),
              std::string::npos);
    EXPECT_NE(said(domain + offsetof(DomainRecord, node_affinity), U64{8}).find("bits of nodes of this machine"),
              std::string::npos);
    EXPECT_NE(said(domain + offsetof(DomainRecord, vcpu_count), U32{4}).find("domain[1].first_vcpu"),
              std::string::npos);
    EXPECT_NE(said(domain + offsetof(DomainRecord, cap), U32{301}).find("allowed is 0 to 300"), std::string::npos);
    EXPECT_NE(said(vcpu + offsetof(VcpuRecord, kind), U16{10}).find("vcpu[0].kind"), std::string::npos);
    EXPECT_NE(said(vcpu + offsetof(VcpuRecord, partner), U16{0}).find("another vCPU of the domain"), std::string::npos);
    EXPECT_NE(said(vcpu + offsetof(VcpuRecord, partner), U16{2}).find("whose partner is this one"), std::string::npos);
    EXPECT_NE(said(vcpu + offsetof(VcpuRecord, has_token), U16{0}).find("exactly one"), std::string::npos);
    EXPECT_NE(said(vcpu + offsetof(VcpuRecord, initial_pcpu), U16{4}).find("allowed is 0 to 3"), std::string::npos);
    EXPECT_NE(said(vcpu + 2 * sizeof(VcpuRecord) + offsetof(VcpuRecord, run_min_ns), U64{3}).find("vcpu[2].run_max_ns"),
              std::string::npos);
    EXPECT_NE(said(vcpu + 3 * sizeof(VcpuRecord) + offsetof(VcpuRecord, grid_ns), U64{3}).find("vcpu[3].grid_ns"),
              std::string::npos);
    EXPECT_NE(said(pcpus + offsetof(PcpuRecord, node), U16{3}).find("pcpu[0].node"), std::string::npos);
    EXPECT_NE(said(pcpus + sizeof(PcpuRecord) + offsetof(PcpuRecord, node), U16{1}).find("pcpu[1].node"),
              std::string::npos);
    EXPECT_NE(said(pcpus + 3 * sizeof(PcpuRecord) + offsetof(PcpuRecord, core), U16{3}).find("core numbers from 0"),
              std::string::npos);
    EXPECT_NE(said(masks, U64{0}).find("at least one pCPU"), std::string::npos);
    EXPECT_NE(said(masks, U64{0x10}).find("pCPUs of this machine"), std::string::npos);
    EXPECT_NE(said(offsetof(Header, tables) + 4, U32{5}).find("header."), std::string::npos);
}

TEST(ScenarioImage, PingPongPartnersNameEachOther)
{
    std::string vcpus;
    for (unsigned i = 0; i < 4; ++i)
        vcpus += (i == 0 ? "" : ",") +
                 std::string{"{\"initial_cpu\":0,\"workload\":{\"kind\":\"pingpong\",\"run_ns\":1,"} +
                 "\"partner\":" + std::to_string(i ^ 1u) + ",\"token\":" + (i % 2 == 0 ? "true" : "false") + "}}";
    Image image = nv::pack(nv::parse_scenario(
        "{\"schema\":\"credit-scenario/2\",\"name\":\"p\",\"seed\":0,\"duration_ns\":1,\"machine\":{\"cpus\":["
        "{\"cpu\":0,\"node\":0,\"socket\":0,\"core\":0}]},\"domains\":[{\"id\":0,\"vcpus\":[" +
            vcpus + "]}]}",
        "p"));
    EXPECT_EQ(refusal(image), "");
    poke(image, table(image, Table::vcpus).offset + offsetof(VcpuRecord, partner), std::uint16_t{3});
    EXPECT_NE(refusal(image).find("vcpu[0].partner"), std::string::npos) << refusal(image);
}

TEST(ScenarioImage, FitsAMachineThatHasItsPcpusOnTheSameNodes)
{
    Image const image = full_image();
    ScenarioView const view = *validate(image);
    std::vector<PcpuTopology> pcpus{{NodeId{0}}, {NodeId{0}}, {NodeId{1}}, {NodeId{1}}, {NodeId{2}}};
    std::vector<CpuMask> nodes(3);
    Topology topology{};
    topology.pcpus = pcpus;
    topology.by_node = nodes;
    topology.online = CpuMask::first_n(5);
    EXPECT_TRUE(fits(view, topology).ok());
    pcpus[3].node = NodeId{2};
    ASSERT_FALSE(fits(view, topology).ok());
    EXPECT_STREQ(fits(view, topology).error().field, "pcpu.node");
    EXPECT_EQ(fits(view, topology).error().row, 3u);
    pcpus[3].node = NodeId{1};
    topology.by_node = std::span{nodes}.first(2);
    EXPECT_STREQ(fits(view, topology).error().field, "header.nodes");
}

TEST(ScenarioImage, FitsNoMachineWherePcpusAreYetToBePluggedIn)
{
    Image const image = full_image();
    ScenarioView const view = *validate(image);
    std::vector<PcpuTopology> const pcpus{{NodeId{0}}, {NodeId{0}}, {NodeId{1}}, {NodeId{1}}};
    std::vector<CpuMask> nodes(3);
    Topology topology{};
    topology.pcpus = pcpus;
    topology.by_node = nodes;
    topology.online = CpuMask::first_n(3);
    ASSERT_FALSE(fits(view, topology).ok());
    EXPECT_STREQ(fits(view, topology).error().field, "header.pcpus");
    topology.online = CpuMask::first_n(4);
    EXPECT_TRUE(fits(view, topology).ok());
}

} // namespace
} // namespace hv::scenario
