// Whole files, in and out. Every failure is an Error that names the file and the reason. Host only. Floor: tools.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

// Exit code bad_input if the file cannot be read: it was named by the user.
[[nodiscard]] std::string read_text(std::filesystem::path const& file);
[[nodiscard]] std::vector<std::byte> read_bytes(std::filesystem::path const& file);

void write_text(std::filesystem::path const& file, std::string_view text);
void write_bytes(std::filesystem::path const& file, std::span<std::byte const> bytes);

} // namespace hv::nv
