// Random changes of an address space against a model that is a map from page to frame.
#include "mm/address_space.hpp"

#include "tests/unit/mm/address_space_host.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <set>

namespace hv::mm {
namespace {

using test::GiB;
using test::here;
using test::large_page;
using test::MappedPage;
using test::MappedPages;
using test::MiB;

constexpr Access accesses[]{Access::read, Access::read_write, Access::read_execute};

class Model {
public:
    explicit Model(unsigned seed) : random_{seed} {}

    void step()
    {
        switch (random_() % 8) {
        case 0:
        case 1:
        case 2:
            return map();
        case 3:
            return unmap();
        case 4:
            return clear();
        case 5:
            return protect();
        default:
            return translate();
        }
    }

    void check()
    {
        ASSERT_EQ(host_.walk(), pages_); // and the number of tables
        std::set<std::uint64_t> directories, tables;
        std::set<std::uint64_t> pointer_tables;
        for (auto const& [at, page] : pages_) {
            pointer_tables.insert(at >> 39);
            directories.insert(at >> 30);
            if (page.bytes == page_size)
                tables.insert(at >> 21);
        }
        ASSERT_EQ(host_.space.table_pages(here), 1 + pointer_tables.size() + directories.size() + tables.size());
    }

    [[nodiscard]] MappedPages const& pages() const { return pages_; }
    [[nodiscard]] test::AddressSpaceHost& host() { return host_; }
    int maps{0}, unmaps{0}, protects{0}, refusals{0}, larges{0};

private:
    // Around places where tables of all levels meet, on three pages of tables each.
    [[nodiscard]] VirtRange some_range()
    {
        constexpr std::uint64_t middles[]{8 * MiB, GiB, 512 * GiB, 700 * GiB + 6 * MiB};
        std::uint64_t const middle{middles[random_() % std::size(middles)]};
        std::uint64_t const unit{random_() % 3 == 0 ? large_page : page_size};
        std::uint64_t const span{4 * MiB / unit};
        std::uint64_t const from{(middle - 3 * MiB) / unit * unit + random_() % span * unit};
        return {VirtAddr{from}, (1 + random_() % (unit == large_page ? 2 : random_() % 20 == 0 ? 600 : 8)) * unit};
    }

    // The first page that overlaps it.
    [[nodiscard]] MappedPages::iterator first_in(VirtRange range)
    {
        auto it = pages_.upper_bound(range.from.value());
        if (it != pages_.begin() && std::prev(it)->first + std::prev(it)->second.bytes > range.from.value())
            --it;
        return it;
    }

    [[nodiscard]] std::optional<MapError> fault_of(VirtRange range)
    {
        std::uint64_t at{range.from.value()};
        for (auto it = first_in(range); at < range.end(); ++it) {
            if (it == pages_.end() || it->first > at)
                return MapError::not_mapped;
            if (it->first < at || it->first + it->second.bytes > range.end())
                return MapError::splits_page;
            at = it->first + it->second.bytes;
        }
        return std::nullopt;
    }

    void expect(Status<MapError> const& said, std::optional<MapError> wanted)
    {
        ASSERT_EQ(said.ok(), !wanted.has_value());
        if (wanted) {
            ASSERT_EQ(said.error(), *wanted);
            ++refusals;
        }
    }

    void map()
    {
        VirtRange const range{some_range()};
        Access const access{accesses[random_() % 3]};
        bool const large_pages = random_() % 4 != 0;
        // Often aligned like the virtual address, so that large pages are possible.
        std::uint64_t const to{random_() % 2 * GiB + range.from.value() % GiB + (random_() % 4 == 0 ? page_size : 0)};
        auto const next = first_in(range);
        bool const is_free = next == pages_.end() || next->first >= range.end();
        expect(host_.map(range.from.value(), to, range.bytes, access, large_pages),
               is_free ? std::nullopt : std::optional{MapError::occupied});
        if (!is_free)
            return;
        ++maps;
        for (std::uint64_t done = 0, bytes = 0; done < range.bytes; done += bytes) {
            std::uint64_t const from{range.from.value() + done};
            bool const fits = (from | (to + done)) % large_page == 0 && range.bytes - done >= large_page;
            bytes = large_pages && fits ? large_page : page_size;
            larges += bytes == large_page;
            pages_[from] = {PhysAddr{to + done}, access, bytes};
        }
    }

    void unmap()
    {
        VirtRange const range{some_range()};
        std::optional<MapError> const fault{fault_of(range)};
        host_.given.clear();
        expect(host_.unmap(range.from.value(), range.bytes), fault);
        std::vector<std::pair<PhysAddr, std::uint64_t>> wanted;
        if (!fault) {
            ++unmaps;
            auto const first = pages_.lower_bound(range.from.value()), end = pages_.lower_bound(range.end());
            for (auto it = first; it != end; ++it)
                wanted.emplace_back(it->second.to, it->second.bytes);
            pages_.erase(first, end);
        }
        ASSERT_EQ(host_.given, wanted);
    }

    // Whatever is there, in one change of many parts.
    void clear()
    {
        VirtRange const range{some_range()};
        host_.given.clear();
        std::vector<std::pair<PhysAddr, std::uint64_t>> wanted;
        std::vector<VirtRange> parts;
        for (auto it = first_in(range); it != pages_.end() && it->first < range.end(); it = pages_.erase(it)) {
            wanted.emplace_back(it->second.to, it->second.bytes);
            parts.push_back({VirtAddr{it->first}, it->second.bytes});
        }
        std::shuffle(parts.begin(), parts.end(), random_);
        {
            AddressSpace::Change change{host_.space, here, host_.sink()};
            for (VirtRange const part : parts)
                ASSERT_TRUE(change.unmap(part).ok());
        }
        ASSERT_EQ(host_.given, wanted);
    }

    void protect()
    {
        VirtRange const range{some_range()};
        Access const access{accesses[random_() % 3]};
        std::optional<MapError> const fault{fault_of(range)};
        expect(host_.protect(range.from.value(), range.bytes, access), fault);
        if (fault)
            return;
        ++protects;
        for (auto it = pages_.lower_bound(range.from.value()); it != pages_.end() && it->first < range.end(); ++it)
            it->second.access = access;
    }

    void translate()
    {
        std::uint64_t const at{some_range().from.value() + random_() % page_size};
        std::optional<Translation> const found{host_.space.translate(here, VirtAddr{at})};
        auto const it = first_in({VirtAddr{at}, 1});
        bool const is_mapped = it != pages_.end() && it->first <= at;
        ASSERT_EQ(found.has_value(), is_mapped);
        if (!is_mapped)
            return;
        Translation const wanted{PhysAddr{it->second.to.value() + at - it->first},
                                 {.access = it->second.access, .user = true},
                                 it->second.bytes};
        ASSERT_EQ(*found, wanted);
    }

    std::mt19937 random_;
    test::AddressSpaceHost host_;
    MappedPages pages_;
};

TEST(AddressSpaceModel, DoesWhatAMapFromPageToFrameDoes)
{
    constexpr int operations = 100'000;
    Model model{20131};
    for (int i = 1; i <= operations && !::testing::Test::HasFatalFailure(); ++i) {
        model.step();
        if (i % 500 == 0)
            model.check();
    }
    model.check();
    for (int const count : {model.maps, model.unmaps, model.protects, model.larges})
        EXPECT_GT(count, 500);
    EXPECT_GT(model.refusals, 10'000);
    // Everything comes back in the end; the host's destructor looks at the allocator's figures.
    model.host().given.clear();
    model.host().space.demolish(here, model.host().sink());
    EXPECT_EQ(model.host().given.size(), model.pages().size());
}

} // namespace
} // namespace hv::mm
