#include "tools/nv/json.hpp"

#include "tools/nv/errors.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace hv::nv {

namespace {

std::string place(std::string_view text, std::size_t position, std::string_view file)
{
    std::string_view const before = text.substr(0, std::min(position, text.size()));
    auto const line = std::ranges::count(before, '\n') + 1;
    std::size_t const line_start = before.rfind('\n') + 1; // npos + 1 = 0
    return fmt::format("{}:{}:{}", file, line, before.size() - line_start + 1);
}

// Events of the library's parser become our tree.
class Builder : public nlohmann::json_sax<nlohmann::json> {
public:
    Builder(std::string_view text, std::string_view file) : text_{text}, file_{file} {}

    [[nodiscard]] Json take() { return std::move(root_); }

    bool null() override { return add({}); }
    bool boolean(bool value) override { return add({.kind = Json::Kind::boolean, .boolean = value}); }
    bool number_integer(number_integer_t value) override { return add(Json::integer(value)); }
    bool number_unsigned(number_unsigned_t value) override
    {
        return add({.kind = Json::Kind::integer, .magnitude = value});
    }
    bool number_float(number_float_t value, string_t const& written) override
    {
        if (written.find_first_of(".eE") == std::string::npos)
            refuse(fmt::format("{}: the integer {} does not fit 64 bits", file_, written));
        return add({.kind = Json::Kind::real, .real = value, .text = written});
    }
    bool string(string_t& value) override { return add(Json::from_text(value)); }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override { return open(Json::Kind::object); }
    bool end_object() override { return close(); }
    bool start_array(std::size_t) override { return open(Json::Kind::list); }
    bool end_array() override { return close(); }
    bool key(string_t& value) override
    {
        if (stack_.back()->find(value) != nullptr)
            refuse(fmt::format("{}: key {} is given twice in one object, remove one", file_, json_string(value)));
        stack_.back()->members.emplace_back(value, Json{});
        return true;
    }
    bool parse_error(std::size_t position, std::string const& last_token, nlohmann::detail::exception const&) override
    {
        std::string const near =
            last_token.empty() ? "the end"
                               : json_string(last_token.substr(last_token.size() > 20 ? last_token.size() - 20 : 0));
        refuse(fmt::format("{}: not valid JSON near {}", place(text_, position == 0 ? 0 : position - 1, file_), near));
    }

private:
    Json& put(Json value)
    {
        if (stack_.empty())
            return root_ = std::move(value);
        Json& parent = *stack_.back();
        if (parent.kind == Json::Kind::list)
            return parent.items.emplace_back(std::move(value));
        return parent.members.back().second = std::move(value);
    }
    bool add(Json value)
    {
        put(std::move(value));
        return true;
    }
    bool open(Json::Kind kind)
    {
        if (stack_.size() >= 64)
            refuse(fmt::format("{}: nested deeper than 64 levels", file_));
        stack_.push_back(&put({.kind = kind}));
        return true;
    }
    bool close()
    {
        stack_.pop_back();
        return true;
    }

    std::string_view text_, file_;
    Json root_;
    std::vector<Json*> stack_; // An open value's parent does not grow, so that these stay valid.
};

} // namespace

Json Json::integer(std::int64_t value)
{
    auto const bits = static_cast<std::uint64_t>(value);
    return {.kind = Kind::integer, .negative = value < 0, .magnitude = value < 0 ? ~bits + 1 : bits};
}

Json Json::from_text(std::string_view value) { return {.kind = Kind::text, .text = std::string{value}}; }

Json const* Json::find(std::string_view key) const
{
    auto const found = std::ranges::find(members, key, [](auto const& m) { return std::string_view{m.first}; });
    return found == members.end() ? nullptr : &found->second;
}

Json& Json::member(std::string_view key)
{
    auto const found = std::ranges::find(members, key, [](auto const& m) { return std::string_view{m.first}; });
    return found != members.end() ? found->second : members.emplace_back(std::string{key}, Json{}).second;
}

std::string_view name_of(Json::Kind kind)
{
    switch (kind) {
    case Json::Kind::null:
        return "null";
    case Json::Kind::boolean:
        return "true or false";
    case Json::Kind::integer:
        return "an integer";
    case Json::Kind::real:
        return "a number with a fraction";
    case Json::Kind::text:
        return "a text";
    case Json::Kind::list:
        return "a list";
    case Json::Kind::object:
        return "an object";
    }
    return "";
}

std::string shown(Json const& value)
{
    switch (value.kind) {
    case Json::Kind::null:
        return "null";
    case Json::Kind::boolean:
        return value.boolean ? "true" : "false";
    case Json::Kind::integer:
        return fmt::format("{}{}", value.negative ? "-" : "", value.magnitude);
    case Json::Kind::real:
        return value.text;
    case Json::Kind::text:
        return json_string(value.text.size() > 40 ? value.text.substr(0, 40) + "..." : value.text);
    case Json::Kind::list:
        return value.items.empty() ? "[]" : "a list";
    case Json::Kind::object:
        return "an object";
    }
    return "";
}

double as_double(Json const& value)
{
    if (value.kind == Json::Kind::real)
        return value.real;
    if (value.kind != Json::Kind::integer)
        give_up(fmt::format("{} is no number", shown(value)));
    return static_cast<double>(value.magnitude) * (value.negative ? -1 : 1);
}

std::string json_line(Json const& value)
{
    std::vector<std::string> parts;
    switch (value.kind) {
    case Json::Kind::list:
        for (Json const& item : value.items)
            parts.push_back(json_line(item));
        return fmt::format("[{}]", fmt::join(parts, ", "));
    case Json::Kind::object:
        for (auto const& [key, member] : value.members)
            parts.push_back(fmt::format("{}: {}", json_string(key), json_line(member)));
        return fmt::format("{{{}}}", fmt::join(parts, ", "));
    case Json::Kind::text:
        return json_string(value.text);
    default:
        return shown(value);
    }
}

Json parse_json(std::string_view text, std::string_view file)
{
    Builder builder{text, file};
    nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
    return builder.take();
}

std::string json_string(std::string_view text)
{
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace hv::nv
