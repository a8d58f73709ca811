// Who touches what, learnt over all runs of a scenario: only at what one fiber writes and another one touches is it
// worth asking who goes on. Floor: tests.
#pragma once

#include <cstdint>
#include <vector>

namespace hv::explorer {

class Sharing {
public:
    Sharing();
    void touch(std::uint32_t offset, unsigned fiber, bool writes);
    [[nodiscard]] bool is_contended(std::uint32_t offset) const { return (words_[offset] & contended) != 0; }
    void share_all(); // every word may be touched by everybody
    // Both words of a lock: its owner's own looks at them are no points.
    void note_lock(std::uint32_t offset);
    [[nodiscard]] bool is_lock(std::uint32_t offset) const { return (words_[offset] & lock) != 0; }
    // Whether points have come since the last call.
    [[nodiscard]] bool has_grown();

private:
    static constexpr std::uint8_t contended{1u << 6}, lock{1u << 7}; // below: who read, who wrote
    std::vector<std::uint8_t> words_;
    bool grown_{false};
};

} // namespace hv::explorer
