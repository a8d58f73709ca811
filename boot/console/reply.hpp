// What a command answers: rows, each either a line of text in columns or one JSON object, from the same calls.
//
// A command says every field once, with its key for JSON and its column for text. What only one of the two has is said
// with text() or value(). Rows are whole lines when they leave, so that answers of several sources never mix within a
// line; one that is too long says so. Locking: none; one command at a time. Floor: boot/console.
#pragma once

#include "arch/generic/format.hpp"
#include "boot/console/affinity_text.hpp"

#include <array>
#include <string_view>
#include <type_traits>

namespace hv::console {

// Takes whole lines, without their ends.
class Port {
public:
    virtual void line(std::string_view text) = 0;

protected:
    constexpr Port() = default;
    constexpr ~Port() = default;
    Port(Port const&) = default;
    Port& operator=(Port const&) = default;
};

enum class Form : std::uint8_t { text, json };

class Reply {
public:
    static constexpr std::size_t longest_row = 4096;

    constexpr Reply(Form form, Port& port) : form_{form}, port_{port} {}
    Reply(Reply const&) = delete;
    Reply& operator=(Reply const&) = delete;

    [[nodiscard]] bool is_json() const { return form_ == Form::json; }

    // --- parts of a row

    template <typename... Args>
    void text(std::string_view format, Args const&... args)
    {
        if (!is_json())
            print(row_, format, args...);
    }
    template <typename T>
    void value(std::string_view key, T const& content)
    {
        if (!is_json())
            return;
        begin_value(key);
        if constexpr (std::is_same_v<T, bool>)
            row_.write(content ? "true" : "false");
        else
            write_value(FormatArg{content});
    }
    // In text by `format`, in JSON under `key`.
    template <typename T>
    void field(std::string_view key, std::string_view format, T const& content)
    {
        text(format, content);
        value(key, content);
    }
    // A set, in JSON as the same text.
    template <typename Mask>
    void map(std::string_view key, Mask const& mask, unsigned limit)
    {
        if (is_json()) {
            begin_value(key);
            row_.write("\"");
        }
        write_map(row_, mask, limit);
        if (is_json())
            row_.write("\"");
    }
    // Values between the two are elements of a list; their keys do not count.
    void begin_list(std::string_view key);
    void end_list();
    void end_row();

    // --- whole lines

    // Of text only: headings and the like.
    template <typename... Args>
    void heading(std::string_view format, Args const&... args)
    {
        text(format, args...);
        if (!is_json())
            end_row();
    }
    // Words that have no columns; in JSON {"text": ...}.
    template <typename... Args>
    void say(std::string_view format, Args const&... args)
    {
        sentence("text", {}, format, args...);
    }
    // In JSON {"warning": ...} and {"error": ...}.
    template <typename... Args>
    void warn(std::string_view format, Args const&... args)
    {
        sentence("warning", "warning: ", format, args...);
    }
    template <typename... Args>
    void refuse(std::string_view format, Args const&... args)
    {
        has_failed_ = true;
        sentence("error", "error: ", format, args...);
    }

    // Whether anything was refused since the last time this was asked.
    [[nodiscard]] bool take_failure()
    {
        bool const failed{has_failed_};
        has_failed_ = false;
        return failed;
    }

private:
    // Collects a row; knows whether a string of JSON is being written.
    class Row final : public Sink {
    public:
        void write(std::string_view text) override;
        void quote(bool on);
        [[nodiscard]] bool empty() const { return used_ == 0; }
        [[nodiscard]] char last() const { return used_ == 0 ? '\0' : buffer_[used_ - 1]; }
        void flush(Port& port, bool is_json);

    private:
        void put(char c);
        void put_escaped(char c);

        std::array<char, longest_row> buffer_{};
        std::size_t used_{0};
        bool quoted_{false}, cut_{false};
    };

    template <typename... Args>
    void sentence(std::string_view key, std::string_view prefix, std::string_view format, Args const&... args)
    {
        if (is_json()) {
            begin_value(key);
            row_.quote(true);
        } else {
            row_.write(prefix);
        }
        print(row_, format, args...);
        if (is_json())
            row_.quote(false);
        end_row();
    }
    void begin_value(std::string_view key);
    void write_value(FormatArg const& content);

    Form form_;
    Port& port_;
    Row row_;
    bool in_list_{false}, has_failed_{false};
};

// One say() for each line of `text`.
void say_lines(Reply& reply, std::string_view text);

// "12.3", for seconds in columns.
class Tenths {
public:
    explicit Tenths(Duration time)
    {
        BufferSink sink{buffer_};
        std::int64_t const tenths{(time.ns() + 50'000'000) / 100'000'000};
        print(sink, "{}.{}", tenths / 10, tenths % 10);
        size_ = sink.text().size();
    }
    // Of `share` parts in `whole`, as percent; nothing of nothing is 0.
    Tenths(Duration share, Duration whole)
    {
        BufferSink sink{buffer_};
        std::int64_t const permille{whole.ns() <= 0 ? 0 : (share * 1000 + whole / 2) / whole};
        print(sink, "{}.{}", permille / 10, permille % 10);
        size_ = sink.text().size();
    }
    [[nodiscard]] std::string_view text() const { return {buffer_.data(), size_}; }

private:
    std::array<char, 24> buffer_{};
    std::size_t size_{0};
};

} // namespace hv::console
