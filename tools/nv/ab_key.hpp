// What a result depends on, as a number: the code of a program, the sources of a tree, a scenario. Equal keys mean
// equal results, so that nothing is built or run twice.
//
// Of a program only what is loaded counts, without the build's identifier: not the debugging information. Of sources
// comments and blanks do not count. 128 bits of FNV-1a: nobody attacks it. Host only. Floor: tools.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace hv::nv {

class KeyHash {
public:
    // A piece is kept apart from the one before it.
    void add(std::string_view piece);
    [[nodiscard]] std::string hex() const; // 32 digits

private:
    __extension__ using Wide = unsigned __int128;
    void byte(unsigned char value);
    Wide state_{(Wide{0x6c62272e07bb0142} << 64) | 0x62b821756295c58d};
};

// C++ without comments, and with one blank where there was any white space; strings and characters, raw ones too, as
// they are. A preprocessor line keeps its end.
[[nodiscard]] std::string without_comments(std::string_view source);

// Throws (own_failure) if the file is no ELF64 program.
[[nodiscard]] std::string code_key(std::filesystem::path const& program);

// Of the files that nv and the kernel are built from, below `tree`, and of the compiler's name and version.
[[nodiscard]] std::string source_key(std::filesystem::path const& tree, std::string_view compiler);

} // namespace hv::nv
