// Every fault that nv shrink made small (tests/reproducers): what has to hold of it holds.
#include "tools/nv/files.hpp"
#include "tools/nv/reproducer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>

namespace hv::nv {

namespace {

std::vector<std::filesystem::path> reproducer_files()
{
    char const* const root{std::getenv("NV_ROOT")}; // NOLINT(concurrency-mt-unsafe)
    std::vector<std::filesystem::path> files;
    std::error_code missing;
    for (auto const& entry : std::filesystem::directory_iterator{
             std::filesystem::path{root == nullptr ? "." : root} / "tests/reproducers", missing})
        if (entry.path().extension() == ".json")
            files.push_back(entry.path());
    std::ranges::sort(files);
    return files;
}

class Reproduced : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(Reproduced, IsNoFaultAnyMore)
{
    std::string const file{GetParam().string()};
    Reproducer const reproducer{Reproducer::parse(read_text(file), file)};
    EXPECT_EQ(complaint_about(reproducer, file), "") << "found by " << reproducer.found;
}

INSTANTIATE_TEST_SUITE_P(Shrunk, Reproduced, testing::ValuesIn(reproducer_files()), [](auto const& instance) {
    std::string name{instance.param.stem().string()};
    std::ranges::replace_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
    return name;
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Reproduced);

} // namespace

} // namespace hv::nv
