// Typed reading of a Json tree with the place of every value at hand, so that each refusal reads
// `FILE: $.domains[1].weight: 70000 is out of range, allowed is 1 to 65535`.
//
// A Reader is a value and its path. An ObjectReader hands out members by name and, at finish(), refuses those that
// nobody asked for. Readers refer to the tree and to the file name. Host only. Floor: tools.
#pragma once

#include "tools/nv/json.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

class Reader {
public:
    Reader(Json const& value, std::string_view file, std::string path)
        : value_{&value}, file_{file}, path_{std::move(path)}
    {
    }

    [[noreturn]] void refuse(std::string_view what) const; // "FILE: PATH: what"

    [[nodiscard]] bool is_null() const { return value_->kind == Json::Kind::null; }
    [[nodiscard]] bool is_list() const { return value_->kind == Json::Kind::list; }
    [[nodiscard]] Json const& value() const { return *value_; }
    [[nodiscard]] std::string const& path() const { return path_; }
    [[nodiscard]] std::string_view file() const { return file_; }

    // An integer in [low, high].
    [[nodiscard]] std::uint64_t number(std::uint64_t low, std::uint64_t high) const;
    [[nodiscard]] std::int64_t signed_number() const;
    [[nodiscard]] bool boolean() const;
    [[nodiscard]] bool truth() const; // true, false, 1 or 0, which --set makes of them
    // At most `most` bytes of printable text; empty only if it may be.
    [[nodiscard]] std::string text(std::size_t most, bool may_be_empty = false) const;
    [[nodiscard]] std::vector<Reader> list() const;

private:
    void expect(Json::Kind kind) const;

    Json const* value_;
    std::string_view file_;
    std::string path_;
};

class ObjectReader {
public:
    explicit ObjectReader(Reader const& value);

    // A member that must be there.
    [[nodiscard]] Reader operator[](std::string_view key);
    // A member that may be missing; null counts as missing.
    [[nodiscard]] std::optional<Reader> maybe(std::string_view key);
    // A known member that `why` forbids here.
    void forbid(std::string_view key, std::string_view why);
    // Refuses members that were not asked for.
    void finish() const;
    [[nodiscard]] Reader const& self() const { return self_; }

private:
    [[nodiscard]] std::string path_of(std::string_view key) const;

    Reader self_;
    std::vector<std::string> known_;
};

} // namespace hv::nv
