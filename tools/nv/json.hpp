// A JSON text as a tree that remembers everything the text said: the order of keys, and whether a number was an
// integer. Reading refuses what other readers swallow: a key given twice, an integer beyond 64 bits. json.cpp is the
// only file that includes the JSON library (slow to compile). Host only. Floor: tools.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hv::nv {

struct Json {
    enum class Kind { null, boolean, integer, real, text, list, object };

    Kind kind{Kind::null};
    bool boolean{false};
    bool negative{false};       // integer: its sign...
    std::uint64_t magnitude{0}; // ...and its absolute value
    double real{0};
    std::string text{};
    std::vector<Json> items{};
    std::vector<std::pair<std::string, Json>> members{};

    [[nodiscard]] static Json integer(std::int64_t value);
    [[nodiscard]] static Json from_text(std::string_view value);

    [[nodiscard]] Json const* find(std::string_view key) const;
    // The member `key` of an object, made if it is not there.
    [[nodiscard]] Json& member(std::string_view key);
};

// "an integer", "a list": for error texts.
[[nodiscard]] std::string_view name_of(Json::Kind kind);
// As it would stand in a file, shortened to what fits an error line.
[[nodiscard]] std::string shown(Json const& value);

// A number as such; throws (own_failure) for anything else.
[[nodiscard]] double as_double(Json const& value);
// The whole value on one line, as a file may have it.
[[nodiscard]] std::string json_line(Json const& value);

// `file` is for the error line, which gives line and column.
[[nodiscard]] Json parse_json(std::string_view text, std::string_view file);

// A quoted JSON string.
[[nodiscard]] std::string json_string(std::string_view text);

} // namespace hv::nv
