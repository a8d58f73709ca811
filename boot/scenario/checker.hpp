// The work behind validate(): each check looks at some fields of an image and remembers the first that is wrong. The
// checks run in the order of the bytes, because later ones rely on what earlier ones have seen. Private to
// boot/scenario. No locks. Floor: boot (shared with the host; includes arch/generic only).
#pragma once

#include "boot/scenario/image.hpp"

namespace hv::scenario {

class Checker {
public:
    explicit Checker(std::span<std::byte const> image) : image_{image} {}

    [[nodiscard]] bool run()
    {
        return check_start() && check_header() && check_tables() && check_pcpus() && check_nodes() &&
               check_distances() && check_masks() && check_domains() && check_model() && check_vcpus() &&
               check_steps() && check_params() && check_changes();
    }
    [[nodiscard]] ImageError const& error() const { return error_; }
    [[nodiscard]] std::span<std::byte const> image() const { return image_; }

private:
    template <typename T>
    [[nodiscard]] T const& at(std::size_t offset) const
    {
        return *static_cast<T const*>(static_cast<void const*>(image_.data() + offset));
    }
    [[nodiscard]] Header const& header() const { return at<Header>(0); }
    [[nodiscard]] TableRef const& ref(Table which) const { return header().tables[static_cast<std::size_t>(which)]; }
    template <typename T>
    [[nodiscard]] T const& record(Table which, std::uint32_t row) const
    {
        return at<T>(ref(which).offset + row * sizeof(T));
    }
    [[nodiscard]] std::uint64_t offset_of(void const* place) const
    {
        return static_cast<std::uint64_t>(static_cast<std::byte const*>(place) - image_.data());
    }

    bool refuse(char const* field, std::uint64_t offset, std::uint64_t found, char const* rule)
    {
        error_ = {field, offset, found, 0, 0, rule, row_};
        return false;
    }
    // The value of `place`, a field of the image, must be in [low, high].
    template <typename T>
    bool range(char const* field, T const& place, std::uint64_t low, std::uint64_t high)
    {
        auto const found = static_cast<std::uint64_t>(place);
        if (found >= low && found <= high)
            return true;
        error_ = {field, offset_of(&place), found, low, high, nullptr, row_};
        return false;
    }
    template <typename T>
    bool time(char const* field, T const& place, std::uint64_t low = 0)
    {
        return range(field, place, low, max_time_ns);
    }
    template <std::size_t N>
    bool text(char const* field, std::array<char, N> const& place, bool may_be_empty);
    bool mask_row(char const* field, std::uint32_t const& place);
    bool node_set(char const* field, std::uint64_t const& place);

    bool check_start();
    bool check_header();
    bool check_tables();
    bool check_pcpus();
    bool check_nodes();
    bool check_distances();
    bool check_masks();
    bool check_domains();
    bool check_domain(DomainRecord const& domain);
    bool check_vcpus();
    bool check_vcpu(VcpuRecord const& vcpu, std::uint32_t siblings, std::uint32_t index);
    bool check_workload(VcpuRecord const& vcpu);
    bool check_pair(DomainRecord const& domain, VcpuRecord const& vcpu, std::uint32_t index);
    bool check_steps();
    bool check_params();
    bool check_model();
    bool check_changes();

    std::span<std::byte const> image_;
    std::uint32_t row_{0};
    ImageError error_{};
};

// Printable, terminated, padded with NULs.
template <std::size_t N>
bool Checker::text(char const* field, std::array<char, N> const& place, bool may_be_empty)
{
    std::size_t length{0};
    while (length < N && place[length] != '\0')
        ++length;
    if (length == N)
        return refuse(field, offset_of(&place), N, "a text that ends with a NUL inside its field");
    if (length == 0 && !may_be_empty)
        return refuse(field, offset_of(&place), 0, "a text that is not empty");
    for (std::size_t i = 0; i < N; ++i) {
        auto const c = static_cast<unsigned char>(place[i]);
        if (i < length && (c < 0x20 || c == 0x7f))
            return refuse(field, offset_of(&place[i]), c, "printable characters");
        if (i > length && c != 0)
            return refuse(field, offset_of(&place[i]), c, "NULs behind the end of the text");
    }
    return true;
}

} // namespace hv::scenario
