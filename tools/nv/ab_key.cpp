#include "tools/nv/ab_key.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"

#include <fmt/format.h>

#include <elf.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <vector>

namespace hv::nv {

namespace {

// Reads C++ just well enough to know what is a comment.
class CommentStripper {
public:
    explicit CommentStripper(std::string_view source) : source_{source} {}

    [[nodiscard]] std::string run()
    {
        while (at_ < source_.size())
            step();
        return std::move(result_);
    }

private:
    [[nodiscard]] bool here(std::string_view text) const { return source_.substr(at_).starts_with(text); }

    void step()
    {
        char const c{source_[at_]};
        if (here("//"))
            skip_to("\n", 0);
        else if (here("/*"))
            skip_to("*/", 2);
        else if (here("R\"") && !follows_word())
            raw_string();
        else if (c == '"' || (c == '\'' && !follows_digit()))
            literal(c);
        else if (std::isspace(static_cast<unsigned char>(c)) != 0)
            blank();
        else
            put(c);
    }

    void put(char c)
    {
        if (line_begins_)
            in_directive_ = c == '#';
        line_begins_ = false;
        result_ += c;
        ++at_;
    }

    void blank()
    {
        if (source_[at_] == '\n') {
            bool const continued{at_ > 0 && source_[at_ - 1] == '\\'};
            if (in_directive_ && !continued)
                trim().push_back('\n');
            line_begins_ = !continued;
            in_directive_ = in_directive_ && continued;
        }
        if (!result_.empty() && result_.back() != ' ' && result_.back() != '\n')
            result_ += ' ';
        ++at_;
    }

    std::string& trim()
    {
        while (result_.ends_with(' '))
            result_.pop_back();
        return result_;
    }

    void skip_to(std::string_view end, std::size_t length)
    {
        std::size_t const found{source_.find(end, at_ + length)};
        at_ = found == std::string_view::npos ? source_.size() : found + length;
        if (!result_.empty() && result_.back() != ' ' && result_.back() != '\n')
            result_ += ' ';
    }

    void copy_to(std::size_t end)
    {
        end = std::min(end, source_.size());
        result_ += source_.substr(at_, end - at_);
        at_ = end;
        line_begins_ = false;
    }

    void literal(char quote)
    {
        std::size_t end{at_ + 1};
        while (end < source_.size() && source_[end] != quote && source_[end] != '\n')
            end += source_[end] == '\\' ? 2U : 1U;
        copy_to(end + 1);
    }

    void raw_string()
    {
        std::size_t const open{source_.find('(', at_)};
        std::string const close{")" + std::string{source_.substr(at_ + 2, open - at_ - 2)} + "\""};
        std::size_t const found{source_.find(close, at_)};
        copy_to(found == std::string_view::npos ? source_.size() : found + close.size());
    }

    [[nodiscard]] bool follows_digit() const // 1'000
    {
        return at_ > 0 && std::isxdigit(static_cast<unsigned char>(source_[at_ - 1])) != 0;
    }
    [[nodiscard]] bool follows_word() const
    {
        return at_ > 0 && (std::isalnum(static_cast<unsigned char>(source_[at_ - 1])) != 0 || source_[at_ - 1] == '_');
    }

    std::string_view source_;
    std::size_t at_{0};
    std::string result_;
    bool line_begins_{true}, in_directive_{false};
};

// A copy, because the file's structures need not be aligned.
template <typename Record>
Record record_at(std::string_view bytes, std::size_t offset, std::filesystem::path const& file)
{
    Record record;
    if (offset > bytes.size() || bytes.size() - offset < sizeof record)
        give_up(fmt::format("{}: is no whole ELF64 program; build it anew", file.string()));
    std::memcpy(&record, bytes.data() + offset, sizeof record);
    return record;
}

bool is_cpp(std::filesystem::path const& file) { return file.extension() == ".cpp" || file.extension() == ".hpp"; }

} // namespace

void KeyHash::byte(unsigned char value)
{
    constexpr Wide prime{(Wide{1} << 88) | 0x13b};
    state_ = (state_ ^ value) * prime;
}

void KeyHash::add(std::string_view piece)
{
    for (std::size_t length{piece.size()}, i{0}; i < sizeof length; ++i)
        byte(static_cast<unsigned char>(length >> (8 * i)));
    for (char const c : piece)
        byte(static_cast<unsigned char>(c));
}

std::string KeyHash::hex() const
{
    return fmt::format("{:016x}{:016x}", static_cast<std::uint64_t>(state_ >> 64), static_cast<std::uint64_t>(state_));
}

std::string without_comments(std::string_view source) { return CommentStripper{source}.run(); }

std::string code_key(std::filesystem::path const& program)
{
    std::string const bytes{read_text(program)};
    auto const header = record_at<Elf64_Ehdr>(bytes, 0, program);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64)
        give_up(fmt::format("{}: is no ELF64 program; build it anew", program.string()));
    KeyHash hash;
    for (std::size_t i = 0; i < header.e_shnum; ++i) {
        auto const section = record_at<Elf64_Shdr>(bytes, header.e_shoff + i * header.e_shentsize, program);
        if ((section.sh_flags & SHF_ALLOC) == 0 || section.sh_type == SHT_NOBITS || section.sh_type == SHT_NOTE)
            continue;
        if (section.sh_offset > bytes.size() || section.sh_size > bytes.size() - section.sh_offset)
            give_up(fmt::format("{}: is cut short; build it anew", program.string()));
        hash.add(std::string_view{bytes}.substr(section.sh_offset, section.sh_size));
    }
    return hash.hex();
}

std::string source_key(std::filesystem::path const& tree, std::string_view compiler)
{
    namespace fs = std::filesystem;
    std::vector<fs::path> files{"Makefile"};
    for (char const* const folder :
         {"arch", "boot", "mm", "sched", "scripts", "tests/kernel", "tests/support", "tools"})
        if (fs::exists(tree / folder))
            for (auto const& entry : fs::recursive_directory_iterator{tree / folder})
                if (entry.is_regular_file())
                    files.push_back(entry.path().lexically_relative(tree));
    std::ranges::sort(files);
    KeyHash hash;
    hash.add(compiler);
    for (fs::path const& file : files) {
        std::string const text{read_text(tree / file)};
        hash.add(file.string());
        hash.add(is_cpp(file) ? without_comments(text) : text);
    }
    return hash.hex();
}

} // namespace hv::nv
