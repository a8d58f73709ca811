#include "boot/console/reply.hpp"

namespace hv::console {
namespace {

constexpr std::string_view cut_mark{" [cut]"};
constexpr std::string_view cut_json{"{\"error\":\"the row is longer than 4096 bytes\"}"};

} // namespace

void Reply::Row::put(char c)
{
    // Room for the mark is kept back.
    if (used_ + cut_mark.size() < buffer_.size())
        buffer_[used_++] = c;
    else
        cut_ = true;
}

void Reply::Row::put_escaped(char c)
{
    if (c == '"' || c == '\\') {
        put('\\');
        put(c);
    } else if (c == '\n') {
        put('\\');
        put('n');
    } else if (c == '\t') {
        put('\\');
        put('t');
    } else {
        put(c >= ' ' && c <= '~' ? c : '?');
    }
}

void Reply::Row::write(std::string_view text)
{
    for (char const c : text) {
        if (quoted_)
            put_escaped(c);
        else
            put(c);
    }
}

void Reply::Row::quote(bool on)
{
    put('"');
    quoted_ = on;
}

// Half an object is none.
void Reply::Row::flush(Port& port, bool is_json)
{
    if (cut_ && is_json) {
        port.line(cut_json);
    } else {
        if (cut_)
            for (char const c : cut_mark)
                buffer_[used_++] = c;
        port.line({buffer_.data(), used_});
    }
    used_ = 0;
    cut_ = quoted_ = false;
}

void Reply::begin_value(std::string_view key)
{
    if (row_.empty())
        row_.write("{");
    else if (row_.last() != '[')
        row_.write(",");
    if (in_list_)
        return;
    row_.write("\"");
    row_.write(key);
    row_.write("\":");
}

void Reply::write_value(FormatArg const& content)
{
    if (content.kind() == FormatArg::Kind::text) {
        row_.quote(true);
        row_.write(content.text());
        row_.quote(false);
        return;
    }
    if (content.kind() == FormatArg::Kind::negative)
        row_.write("-");
    print(row_, "{}", content.number());
}

void Reply::begin_list(std::string_view key)
{
    if (!is_json())
        return;
    begin_value(key);
    row_.write("[");
    in_list_ = true;
}

void Reply::end_list()
{
    if (is_json())
        row_.write("]");
    in_list_ = false;
}

void Reply::end_row()
{
    if (is_json())
        row_.write(row_.empty() ? "{}" : "}");
    row_.flush(port_, is_json());
}

void say_lines(Reply& reply, std::string_view text)
{
    while (!text.empty()) {
        std::size_t const end{detail::find_char(text, '\n')};
        reply.say("{}", std::string_view{text.data(), end});
        text.remove_prefix(end < text.size() ? end + 1 : end);
    }
}

} // namespace hv::console
