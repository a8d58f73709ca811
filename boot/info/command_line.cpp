#include "boot/info/command_line.hpp"

#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <optional>

namespace hv::boot {

namespace {

enum class Value : std::uint8_t { none, optional, required };

struct OptionSpec {
    std::string_view key;
    Value value;
    std::string_view usage;
    std::string_view allowed;
    std::string_view help;
    bool (*set)(Options& options, std::string_view value); // false: the value is not allowed
};

std::optional<std::uint32_t> number(std::string_view text)
{
    std::uint32_t result{0};
    std::from_chars_result const end{std::from_chars(text.data(), text.data() + text.size(), result)};
    if (end.ec != std::errc{} || end.ptr != text.data() + text.size())
        return std::nullopt;
    return result;
}

bool set_sched(Options& options, std::string_view value)
{
    options.sched = value;
    return true;
}

bool set_selftest(Options& options, std::string_view value)
{
    options.selftest = true;
    options.selftest_pattern = value;
    return true;
}

bool set_khz(Options& options, std::string_view value)
{
    std::optional<std::uint32_t> const khz{number(value)};
    if (!khz || (*khz != 0 && (*khz < 1'000 || *khz > 100'000'000)))
        return false;
    options.khz = *khz;
    return true;
}

bool set_trace(Options& options, std::string_view value)
{
    std::optional<std::uint32_t> const kib{value == "off" ? std::optional<std::uint32_t>{0} : number(value)};
    if (!kib || (*kib != 0 && (*kib < 4 || *kib > 65'536 || !std::has_single_bit(*kib))))
        return false;
    options.trace_kib = *kib;
    return true;
}

bool set_trace_mask(Options& options, std::string_view value)
{
    options.trace_mask = parse_trace_mask(value);
    return options.trace_mask.has_value();
}

bool set_trace_cpus(Options& options, std::string_view value)
{
    options.trace_cpus = parse_trace_cpus(value);
    return options.trace_cpus.has_value();
}

bool set_trace_mode(Options& options, std::string_view value)
{
    std::optional<TraceMode> const mode{parse_trace_mode(value)};
    options.trace_mode = mode.value_or(TraceMode::drop);
    return mode.has_value();
}

bool set_numa(Options& options, std::string_view value)
{
    options.numa = value == "on";
    return value == "on" || value == "off";
}

bool set_quiet(Options& options, std::string_view)
{
    options.quiet = true;
    return true;
}

bool set_console(Options& options, std::string_view)
{
    options.console = true;
    return true;
}

bool set_maxcpus(Options& options, std::string_view value)
{
    std::optional<std::uint32_t> const count{number(value)};
    if (!count || *count < 1 || *count > most_pcpus)
        return false;
    options.maxcpus = static_cast<std::uint16_t>(*count);
    return true;
}

bool set_chop(Options& options, std::string_view value)
{
    std::optional<std::uint32_t> const ns{value == "off" ? std::optional<std::uint32_t>{0} : number(value)};
    if (!ns || (*ns != 0 && (*ns < 100 || *ns > 1'000'000'000)))
        return false;
    options.chop_ns = *ns;
    return true;
}

bool set_watchdog(Options& options, std::string_view value)
{
    std::optional<std::uint32_t> const ms{value == "off" ? std::optional<std::uint32_t>{0} : number(value)};
    if (!ms || (*ms != 0 && (*ms < 10 || *ms > 60'000)))
        return false;
    options.watchdog_ms = *ms;
    return true;
}

constexpr std::array<OptionSpec, 13> table{{
    {"sched", Value::required, "sched=NAME", "the name of a policy", "scheduling policy (default: the scenario's)",
     set_sched},
    {"selftest", Value::optional, "selftest[=PATTERN]", "selftest or selftest=PATTERN",
     "run the self-tests whose name contains PATTERN, or with !PATTERN does not", set_selftest},
    {"khz", Value::required, "khz=N", "0 (calibrate) or 1000 to 100000000",
     "rate of the TSC in kHz (default 0: calibrate)", set_khz},
    {"trace", Value::required, "trace=KIB", "off, 0 or a power of two from 4 to 65536",
     "trace ring of each pCPU in KiB (default 1024)", set_trace},
    {"trace_mask", Value::required, "trace_mask=LIST",
     "off, or a list of gen, sched, dom0op, hvm, mem, all and numbers like 0x21000",
     "events to trace (default: the scenario's)", set_trace_mask},
    {"trace_cpus", Value::required, "trace_cpus=LIST", "all, or a list of pCPUs below 256 like 0,2,5-7 or 12-",
     "pCPUs to trace (default all)", set_trace_cpus},
    {"trace_mode", Value::required, "trace_mode=drop|stop|flight", "drop, stop or flight",
     "full ring: drop new records, stop, or overwrite the oldest (default drop)", set_trace_mode},
    {"numa", Value::required, "numa=on|off", "on or off", "believe the firmware's NUMA tables (default on)", set_numa},
    {"quiet", Value::none, "quiet", "quiet, without a value", "log less", set_quiet},
    {"console", Value::none, "console", "console, without a value",
     "take commands from the serial ports; the scenario's end does not end the run", set_console},
    {"maxcpus", Value::required, "maxcpus=N", "1 to 255", "bring up at most N pCPUs (default 255)", set_maxcpus},
    {"chop", Value::required, "chop=NS", "off, 0 or 100 to 1000000000",
     "seed of interleavings: end pCPUs' turns every NS ns (default off)", set_chop},
    {"watchdog", Value::required, "watchdog=MS", "off, 0 or 10 to 60000",
     "report a pCPU with interrupts off for MS ms (default 5000)", set_watchdog},
}};

// One option as it stands in the line.
struct Word {
    std::string_view text{}, key{}, value{};
    bool has_value{false};
    std::string_view wrong{}; // what is wrong with its form; empty: nothing
};

constexpr bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Cuts the option that `rest` (not empty, no leading space) begins with off its front.
Word next_word(std::string_view& rest)
{
    char const* const begin{rest.data()};
    std::size_t const size{rest.size()};
    std::size_t key_end{0};
    while (key_end < size && rest[key_end] != '=' && !is_space(rest[key_end]))
        ++key_end;
    Word word{.key = {begin, key_end}};
    word.has_value = key_end < size && rest[key_end] == '=';
    std::size_t end{key_end};
    if (word.has_value) {
        std::size_t value_begin{key_end + 1};
        bool const quoted = value_begin < size && rest[value_begin] == '"';
        if (quoted)
            ++value_begin;
        end = value_begin;
        while (end < size && (quoted ? rest[end] != '"' : !is_space(rest[end])))
            ++end;
        word.value = {begin + value_begin, end - value_begin};
        if (quoted && end == size)
            word.wrong = "its quote is never closed";
        else if (quoted && ++end < size && !is_space(rest[end]))
            word.wrong = "there is text behind its closing quote";
        while (end < size && !is_space(rest[end]))
            ++end;
    }
    word.text = {begin, end};
    rest.remove_prefix(end);
    return word;
}

// What is wrong with `word` as an option that is `seen`, if anything; else sets it.
std::string_view apply(OptionSpec const& spec, Word const& word, bool seen, Options& options)
{
    if (seen)
        return "is given twice";
    if (word.has_value ? word.value.empty() : spec.value == Value::required)
        return "needs a value";
    if (word.has_value && spec.value == Value::none)
        return "takes no value";
    return spec.set(options, word.value) ? std::string_view{} : "has a value that is not allowed";
}

} // namespace

Result<Options, OptionError> parse_options(std::string_view line)
{
    Options options;
    std::uint32_t seen{0}; // bit i: table[i]
    static_assert(table.size() <= 32);
    std::string_view rest{line};
    for (;;) {
        while (!rest.empty() && is_space(rest.front()))
            rest.remove_prefix(1);
        if (rest.empty())
            return options;
        auto const column = static_cast<unsigned>(line.size() - rest.size()) + 1;
        Word const word{next_word(rest)};
        std::size_t index{0};
        while (index < table.size() && table[index].key != word.key)
            ++index;
        if (index == table.size())
            return fail(OptionError{word.text, column, "is not an option", {}});
        OptionSpec const& spec{table[index]};
        std::uint32_t const bit{std::uint32_t{1} << index};
        std::string_view const wrong{word.wrong.empty() ? apply(spec, word, (seen & bit) != 0, options) : word.wrong};
        if (!wrong.empty())
            return fail(OptionError{word.text, column, wrong, spec.allowed});
        seen |= bit;
    }
}

void describe(OptionError const& error, Sink& sink)
{
    print(sink, "command line, column {}: '{}' {}; allowed: {}", error.column, error.option, error.what, error.allowed);
    if (!error.allowed.empty())
        return;
    std::string_view separator;
    for (OptionSpec const& spec : table) {
        print(sink, "{}{}", separator, spec.usage);
        separator = " ";
    }
}

void print_option_help(Sink& sink)
{
    for (OptionSpec const& spec : table)
        print(sink, "  {:<20} {}\n", spec.usage, spec.help);
}

} // namespace hv::boot
