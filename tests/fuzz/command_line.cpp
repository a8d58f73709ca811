#include "boot/info/command_line.hpp"

#include "arch/generic/assert.hpp"
#include "tests/fuzz/target.hpp"

#include <algorithm>

namespace {

// Counts what is written and looks for line ends.
class LineSink final : public hv::Sink {
public:
    void write(std::string_view text) override
    {
        size_ += text.size();
        HV_ASSERT(std::ranges::find(text, '\n') == text.end());
    }
    [[nodiscard]] std::size_t size() const { return size_; }

private:
    std::size_t size_{0};
};

} // namespace

// Accepted within its ranges, or refused with a line that points into what was typed.
HV_FUZZ_TARGET(command_line)
{
    std::string_view const line{reinterpret_cast<char const*>(input.data()), input.size()};
    if (line.find('\n') != line.npos)
        return;
    auto const options = hv::boot::parse_options(line);
    if (options) {
        HV_ASSERT(options->maxcpus >= 1 && options->maxcpus <= hv::boot::most_pcpus);
        HV_ASSERT((options->trace_kib & (options->trace_kib - 1)) == 0);
        return;
    }
    HV_ASSERT(options.error().column >= 1 && options.error().column <= line.size() + 1);
    LineSink sink;
    hv::boot::describe(options.error(), sink);
    HV_ASSERT(sink.size() != 0);
}
