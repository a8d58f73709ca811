#include "tools/nv/ab_seed.hpp"

#include "tools/nv/files.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <vector>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

// Two trees of one source and one header, of which the first is compiled: alone, and in a batch.
class AbSeed : public testing::Test {
protected:
    AbSeed()
    {
        fs::remove_all(folder_);
        for (BuildTree const* const tree : {&from_, &to_}) {
            put(tree->sources / "a.cpp", "int a;", 10);
            put(tree->sources / "a.hpp", "extern int a;", 10);
        }
        put(from_.output / "batches/i.cpp", "#include \"a.cpp\"\n", 10);
        object("host/a.cpp", "a.cpp a.hpp", 20);
        object("host/batches/i", "there/batches/i.cpp a.cpp \\\n a.hpp", 20);
    }
    ~AbSeed() override { fs::remove_all(folder_); }

    // `second`: of the past hour, when it was written.
    void put(fs::path const& file, std::string_view text, int second) const
    {
        fs::create_directories(file.parent_path());
        write_text(file, text);
        fs::last_write_time(file, hour_ago_ + std::chrono::seconds{second});
    }

    void object(std::string const& name, std::string const& files, int second) const
    {
        put(from_.output / (name + ".o"), "object of " + name, second);
        put(from_.output / (name + ".d"), "there/" + name + ".o: " + files + "\na.hpp:\n", second);
    }

    std::size_t seed(std::string_view list = "#include \"a.cpp\"\n")
    {
        constexpr std::array<std::string_view, 1> parts{"host"};
        return seed_objects(from_, to_, parts, [&](std::span<std::string const> lists) {
            asked_.assign(lists.begin(), lists.end());
            for (std::string const& name : lists)
                put(to_.output / name, list, 30);
        });
    }

    [[nodiscard]] bool has(std::string const& object) const { return fs::exists(to_.output / object); }

    fs::file_time_type const hour_ago_{fs::file_time_type::clock::now() - std::chrono::hours{1}};
    fs::path const folder_{fs::path{testing::TempDir()} / "nv-ab-seed"};
    BuildTree const from_{folder_ / "from", folder_ / "there"}, to_{folder_ / "to", folder_ / "to/build"};
    std::vector<std::string> asked_;
};

TEST_F(AbSeed, TakesOverWhatIsMadeOfTheSame)
{
    EXPECT_EQ(seed(), 2U);
    EXPECT_EQ(read_text(to_.output / "host/batches/i.d"),
              "build/host/batches/i.o: build/batches/i.cpp a.cpp \\\n a.hpp\na.hpp:\n");
    EXPECT_EQ(read_text(to_.output / "host/a.cpp.o"), "object of host/a.cpp");
    // As new as can be, and not again.
    EXPECT_GT(fs::last_write_time(to_.output / "host/a.cpp.o"), fs::last_write_time(to_.sources / "a.cpp"));
    EXPECT_EQ(seed(), 0U);
}

TEST_F(AbSeed, LeavesWhatAHeaderMakesAnother)
{
    put(to_.sources / "a.hpp", "extern int b;", 10);
    EXPECT_EQ(seed(), 0U);
    EXPECT_FALSE(has("host/a.cpp.o"));
}

TEST_F(AbSeed, LeavesWhatIsOlderThereThanItsSource)
{
    put(from_.sources / "a.cpp", "int a;", 21);
    EXPECT_EQ(seed(), 0U);
}

TEST_F(AbSeed, LeavesWhatWasCompiledTogetherWithOthers)
{
    EXPECT_EQ(seed("#include \"a.cpp\"\n#include \"b.cpp\"\n"), 1U);
    EXPECT_EQ(asked_, std::vector<std::string>{"batches/i.cpp"});
    EXPECT_TRUE(has("host/a.cpp.o"));
    EXPECT_FALSE(has("host/batches/i.o"));
}

TEST_F(AbSeed, ReplacesAnObjectThatIsOlderThanItsSource)
{
    put(to_.output / "host/a.cpp.o", "of what a.cpp was before", 5);
    seed();
    EXPECT_EQ(read_text(to_.output / "host/a.cpp.o"), "object of host/a.cpp");
}

TEST_F(AbSeed, KeepsAnObjectThatIsNewerThanItsSource)
{
    put(to_.output / "host/a.cpp.o", "ours", 11);
    seed();
    EXPECT_EQ(read_text(to_.output / "host/a.cpp.o"), "ours");
}

TEST(AbCompileRules, AreLinesThatNameTheCompilerOrItsOptions)
{
    constexpr std::string_view makefile{"CXX := g++\n# CXX is\nFLAGS := -O2 \\\n  -g\nnames := a \\\n b\n\techo\n"};
    EXPECT_EQ(compile_rules(makefile), "CXX := g++\nFLAGS := -O2    -g\n");
    EXPECT_EQ(compile_rules(""), "");
}

} // namespace

} // namespace hv::nv
