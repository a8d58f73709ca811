// Where exporters put what they make, piece by piece: a file, or memory for tests and fuzzers. Every failure of a file
// is an Error (own_failure) that names it. One sink, one thread. Host only. Floor: tools.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace hv::nv {

class ByteSink {
public:
    ByteSink() = default;
    ByteSink(ByteSink const&) = delete;
    ByteSink& operator=(ByteSink const&) = delete;
    virtual ~ByteSink() = default;

    virtual void write(std::span<std::uint8_t const> bytes) = 0;
    void write(std::string_view text);
    // Nothing is written after it. Until then a file may not be complete.
    virtual void close() {}
};

class MemorySink final : public ByteSink {
public:
    using ByteSink::write;
    void write(std::span<std::uint8_t const> bytes) override
    {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }

    [[nodiscard]] std::span<std::uint8_t const> bytes() const { return bytes_; }
    [[nodiscard]] std::string_view text() const;

private:
    std::vector<std::uint8_t> bytes_;
};

// A new file that is never closed, because of an error, is removed.
class FileSink final : public ByteSink {
public:
    enum class Mode { replace, append };

    explicit FileSink(std::filesystem::path file, Mode mode = Mode::replace);
    ~FileSink() override;

    using ByteSink::write;
    void write(std::span<std::uint8_t const> bytes) override;
    void close() override;

private:
    struct Close {
        void operator()(std::FILE* stream) const { static_cast<void>(std::fclose(stream)); }
    };

    [[noreturn]] void fail() const;

    std::filesystem::path path_;
    Mode mode_;
    std::unique_ptr<std::FILE, Close> stream_;
};

} // namespace hv::nv
