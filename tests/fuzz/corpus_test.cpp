// Every committed input of every fuzz target, once; and every target has some.
#include "tests/fuzz/target.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace hv::fuzz {
namespace {

namespace fs = std::filesystem;

fs::path corpus_of(std::string_view name)
{
    char const* const root = std::getenv("NV_ROOT");
    return fs::path{root == nullptr ? "." : root} / "tests/fuzz/corpus" / name;
}

TEST(FuzzCorpus, EveryTargetTakesEveryInputThatIsKept)
{
    ASSERT_FALSE(targets().empty());
    for (Target const& target : targets()) {
        std::size_t count{0};
        ASSERT_TRUE(fs::is_directory(corpus_of(target.name))) << target.name << " has no corpus";
        for (auto const& entry : fs::directory_iterator{corpus_of(target.name)}) {
            SCOPED_TRACE(entry.path());
            std::ifstream file{entry.path(), std::ios::binary};
            std::vector<std::uint8_t> const bytes{std::istreambuf_iterator<char>{file}, {}};
            target.run(bytes);
            ++count;
        }
        EXPECT_GT(count, 0u) << target.name << " has an empty corpus";
    }
}

TEST(FuzzCorpus, EveryFolderHasATarget)
{
    for (auto const& entry : fs::directory_iterator{corpus_of("")}) {
        bool found{false};
        for (Target const& target : targets())
            found |= entry.path().filename() == target.name;
        EXPECT_TRUE(found) << entry.path() << " belongs to no target";
    }
}

} // namespace
} // namespace hv::fuzz
