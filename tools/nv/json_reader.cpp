#include "tools/nv/json_reader.hpp"

#include "tools/nv/errors.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hv::nv {

void Reader::refuse(std::string_view what) const { nv::refuse(fmt::format("{}: {}: {}", file_, path_, what)); }

void Reader::expect(Json::Kind kind) const
{
    if (value_->kind != kind)
        refuse(fmt::format("{} is not {}", shown(*value_), name_of(kind)));
}

std::uint64_t Reader::number(std::uint64_t low, std::uint64_t high) const
{
    expect(Json::Kind::integer);
    bool const below = value_->negative || value_->magnitude < low;
    if (below || value_->magnitude > high)
        refuse(fmt::format("{} is out of range, allowed is {} to {}", shown(*value_), low, high));
    return value_->magnitude;
}

std::int64_t Reader::signed_number() const
{
    expect(Json::Kind::integer);
    if (value_->magnitude > static_cast<std::uint64_t>(INT64_MAX))
        refuse(fmt::format("{} is out of range, allowed is {} to {}", shown(*value_), -INT64_MAX, INT64_MAX));
    auto const magnitude = static_cast<std::int64_t>(value_->magnitude);
    return value_->negative ? -magnitude : magnitude;
}

bool Reader::truth() const { return value_->kind == Json::Kind::boolean ? value_->boolean : number(0, 1) == 1; }

bool Reader::boolean() const
{
    expect(Json::Kind::boolean);
    return value_->boolean;
}

std::string Reader::text(std::size_t most, bool may_be_empty) const
{
    expect(Json::Kind::text);
    std::string const& text = value_->text;
    if (text.empty() && !may_be_empty)
        refuse("must not be empty");
    if (text.size() > most)
        refuse(fmt::format("{} bytes of text are too long, at most {} are allowed", text.size(), most));
    if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
        refuse("has a control character");
    return text;
}

std::vector<Reader> Reader::list() const
{
    expect(Json::Kind::list);
    std::vector<Reader> readers;
    readers.reserve(value_->items.size());
    for (std::size_t i = 0; i < value_->items.size(); ++i)
        readers.emplace_back(value_->items[i], file_, fmt::format("{}[{}]", path_, i));
    return readers;
}

ObjectReader::ObjectReader(Reader const& value) : self_{value}
{
    if (value.value().kind != Json::Kind::object)
        value.refuse(fmt::format("{} is not {}", shown(value.value()), name_of(Json::Kind::object)));
}

std::string ObjectReader::path_of(std::string_view key) const { return fmt::format("{}.{}", self_.path(), key); }

Reader ObjectReader::operator[](std::string_view key)
{
    known_.emplace_back(key);
    Json const* const member = self_.value().find(key);
    if (member == nullptr)
        self_.refuse(fmt::format("key \"{}\" is missing", key));
    return {*member, self_.file(), path_of(key)};
}

std::optional<Reader> ObjectReader::maybe(std::string_view key)
{
    known_.emplace_back(key);
    Json const* const member = self_.value().find(key);
    if (member == nullptr || member->kind == Json::Kind::null)
        return std::nullopt;
    return Reader{*member, self_.file(), path_of(key)};
}

void ObjectReader::forbid(std::string_view key, std::string_view why)
{
    if (self_.value().find(key) != nullptr)
        Reader{*self_.value().find(key), self_.file(), path_of(key)}.refuse(why);
}

void ObjectReader::finish() const
{
    for (auto const& [key, member] : self_.value().members)
        if (std::ranges::find(known_, key) == known_.end())
            Reader{member, self_.file(), path_of(key)}.refuse(
                fmt::format("unknown key, allowed are {}", fmt::join(known_, ", ")));
}

} // namespace hv::nv
