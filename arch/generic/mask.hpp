// Sets of pCPUs and of NUMA nodes.
//
// CpuMask holds up to 4096 pCPUs as a 64-way bitmap tree: bit w of the summary is set iff word w is not zero, and a
// word whose summary bit is clear is neither read, nor copied, nor even initialised. So every operation, copying
// included, costs one step per non-empty word: a machine with at most 64 pCPUs pays for one. NodeMask is a single word.
//
// AtomicCpuMask is the form that several pCPUs change at once without a lock. A reader gets a snapshot of single bits,
// not of the whole set at one instant: good for hints only.
//
// Iteration and search are in ascending order of the id, always. No state of their own, no locks. Floor: arch/generic.
#pragma once

#include "arch/generic/assert.hpp"
#include "arch/generic/types.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>

namespace hv {

inline constexpr unsigned word_bits = 64;

class CpuMask {
public:
    using Word = std::uint64_t;
    static constexpr unsigned capacity = word_bits * word_bits;

    // NOLINTBEGIN(cppcoreguidelines-pro-type-member-init): words without a summary bit stay uninitialised on purpose.
    constexpr CpuMask() {}
    constexpr CpuMask(CpuMask const& other) { assign(other); }
    // NOLINTEND(cppcoreguidelines-pro-type-member-init)
    constexpr CpuMask& operator=(CpuMask const& other)
    {
        if (this != &other)
            assign(other);
        return *this;
    }

    [[nodiscard]] static constexpr CpuMask of(CpuId cpu)
    {
        CpuMask mask;
        mask.set(cpu);
        return mask;
    }

    // pCPUs 0 to count-1. count <= capacity.
    [[nodiscard]] static constexpr CpuMask first_n(unsigned count)
    {
        HV_ASSERT(count <= capacity);
        CpuMask mask;
        for (unsigned word = 0; word * word_bits < count; ++word) {
            unsigned const rest = count - word * word_bits;
            mask.put(word, rest >= word_bits ? ~Word{0} : (Word{1} << rest) - 1);
        }
        return mask;
    }

    constexpr void set(CpuId cpu) { put(word_of(cpu), word(word_of(cpu)) | bit_of(cpu)); }
    constexpr void clear(CpuId cpu) { put(word_of(cpu), word(word_of(cpu)) & ~bit_of(cpu)); }
    [[nodiscard]] constexpr bool test(CpuId cpu) const { return (word(word_of(cpu)) & bit_of(cpu)) != 0; }
    [[nodiscard]] constexpr bool empty() const { return summary_ == 0; }

    [[nodiscard]] constexpr unsigned count() const
    {
        unsigned total{0};
        for (Word rest = summary_; rest != 0; rest &= rest - 1)
            total += static_cast<unsigned>(std::popcount(words_[lowest(rest)]));
        return total;
    }

    // The lowest member; nothing if the set is empty.
    [[nodiscard]] constexpr std::optional<CpuId> first() const
    {
        if (empty())
            return std::nullopt;
        unsigned const index = lowest(summary_);
        return id(index, lowest(words_[index]));
    }

    // The lowest member above `cpu`; nothing if there is none.
    [[nodiscard]] constexpr std::optional<CpuId> next(CpuId cpu) const
    {
        unsigned const index = word_of(cpu);
        if (Word const here = word(index) & above(cpu.value() % word_bits); here != 0)
            return id(index, lowest(here));
        Word const rest = summary_ & above(index);
        if (rest == 0)
            return std::nullopt;
        return id(lowest(rest), lowest(words_[lowest(rest)]));
    }

    // The next member after `cpu`, wrapping round; `cpu` itself if it is the only member. The set must not be empty.
    [[nodiscard]] constexpr CpuId cycle(CpuId cpu) const
    {
        HV_ASSERT(!empty());
        if (std::optional<CpuId> const above_cpu = next(cpu))
            return *above_cpu;
        return *first();
    }

    [[nodiscard]] constexpr bool intersects(CpuMask const& other) const
    {
        for (Word rest = summary_ & other.summary_; rest != 0; rest &= rest - 1)
            if ((words_[lowest(rest)] & other.words_[lowest(rest)]) != 0)
                return true;
        return false;
    }

    [[nodiscard]] constexpr bool is_subset_of(CpuMask const& other) const
    {
        for (Word rest = summary_; rest != 0; rest &= rest - 1)
            if ((words_[lowest(rest)] & ~other.word(lowest(rest))) != 0)
                return false;
        return true;
    }

    // |a & b|, without building the intersection.
    [[nodiscard]] friend constexpr unsigned count_common(CpuMask const& a, CpuMask const& b)
    {
        unsigned total{0};
        for (Word rest = a.summary_ & b.summary_; rest != 0; rest &= rest - 1)
            total += static_cast<unsigned>(std::popcount(a.words_[lowest(rest)] & b.words_[lowest(rest)]));
        return total;
    }

    friend constexpr CpuMask operator&(CpuMask const& a, CpuMask const& b)
    {
        CpuMask result;
        for (Word rest = a.summary_ & b.summary_; rest != 0; rest &= rest - 1)
            result.put(lowest(rest), a.words_[lowest(rest)] & b.words_[lowest(rest)]);
        return result;
    }

    constexpr CpuMask& operator|=(CpuMask const& other)
    {
        for (Word rest = other.summary_; rest != 0; rest &= rest - 1)
            put(lowest(rest), word(lowest(rest)) | other.words_[lowest(rest)]);
        return *this;
    }
    friend constexpr CpuMask operator|(CpuMask a, CpuMask const& b) { return a |= b; }

    // Members of this set that are not in `other`.
    constexpr CpuMask& operator-=(CpuMask const& other)
    {
        for (Word rest = summary_ & other.summary_; rest != 0; rest &= rest - 1)
            put(lowest(rest), words_[lowest(rest)] & ~other.words_[lowest(rest)]);
        return *this;
    }
    friend constexpr CpuMask operator-(CpuMask a, CpuMask const& b) { return a -= b; }

    friend constexpr bool operator==(CpuMask const& a, CpuMask const& b)
    {
        if (a.summary_ != b.summary_)
            return false;
        for (Word rest = a.summary_; rest != 0; rest &= rest - 1)
            if (a.words_[lowest(rest)] != b.words_[lowest(rest)])
                return false;
        return true;
    }

    class Iterator {
    public:
        using value_type = CpuId;
        using difference_type = std::ptrdiff_t;

        constexpr Iterator() = default;
        constexpr Iterator(CpuMask const* mask, std::optional<CpuId> at) : mask_{mask}, at_{at} {}
        constexpr CpuId operator*() const { return *at_; }
        constexpr Iterator& operator++()
        {
            at_ = mask_->next(*at_);
            return *this;
        }
        constexpr Iterator operator++(int)
        {
            Iterator old{*this};
            ++*this;
            return old;
        }
        friend constexpr bool operator==(Iterator const& a, Iterator const& b) { return a.at_ == b.at_; }

    private:
        CpuMask const* mask_{nullptr};
        std::optional<CpuId> at_;
    };

    [[nodiscard]] constexpr Iterator begin() const { return {this, first()}; }
    [[nodiscard]] constexpr Iterator end() const { return {this, std::nullopt}; }

private:
    friend class AtomicCpuMask;

    static constexpr unsigned lowest(Word word) { return static_cast<unsigned>(std::countr_zero(word)); }
    static constexpr Word above(unsigned bit) { return bit == word_bits - 1 ? 0 : ~Word{0} << (bit + 1); }
    static constexpr unsigned word_of(CpuId cpu)
    {
        HV_ASSERT(cpu.value() < capacity);
        return cpu.value() / word_bits;
    }
    static constexpr Word bit_of(CpuId cpu) { return Word{1} << (cpu.value() % word_bits); }
    static constexpr CpuId id(unsigned index, unsigned bit)
    {
        return CpuId{static_cast<CpuId::Rep>(index * word_bits + bit)};
    }

    [[nodiscard]] constexpr Word word(unsigned index) const
    {
        return ((summary_ >> index) & 1) != 0 ? words_[index] : 0;
    }

    constexpr void put(unsigned index, Word value)
    {
        words_[index] = value;
        if (value != 0)
            summary_ |= Word{1} << index;
        else
            summary_ &= ~(Word{1} << index);
    }

    constexpr void assign(CpuMask const& other)
    {
        summary_ = other.summary_;
        for (Word rest = summary_; rest != 0; rest &= rest - 1)
            words_[lowest(rest)] = other.words_[lowest(rest)];
    }

    Word summary_{0};
    std::array<Word, word_bits> words_;
};

class NodeMask {
public:
    static constexpr unsigned capacity = word_bits;

    constexpr NodeMask() = default;
    [[nodiscard]] static constexpr NodeMask all() { return NodeMask{~std::uint64_t{0}}; }
    [[nodiscard]] static constexpr NodeMask of(NodeId node) { return NodeMask{bit_of(node)}; }
    [[nodiscard]] static constexpr NodeMask first_n(unsigned count)
    {
        HV_ASSERT(count <= capacity);
        return NodeMask{count == capacity ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1};
    }
    [[nodiscard]] static constexpr NodeMask from_bits(std::uint64_t bits) { return NodeMask{bits}; }

    [[nodiscard]] constexpr std::uint64_t bits() const { return bits_; }
    constexpr void set(NodeId node) { bits_ |= bit_of(node); }
    constexpr void clear(NodeId node) { bits_ &= ~bit_of(node); }
    [[nodiscard]] constexpr bool test(NodeId node) const { return (bits_ & bit_of(node)) != 0; }
    [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
    [[nodiscard]] constexpr unsigned count() const { return static_cast<unsigned>(std::popcount(bits_)); }
    [[nodiscard]] constexpr bool intersects(NodeMask other) const { return (bits_ & other.bits_) != 0; }
    [[nodiscard]] constexpr bool is_subset_of(NodeMask other) const { return (bits_ & ~other.bits_) == 0; }

    [[nodiscard]] constexpr std::optional<NodeId> first() const
    {
        if (empty())
            return std::nullopt;
        return NodeId{static_cast<NodeId::Rep>(std::countr_zero(bits_))};
    }
    [[nodiscard]] constexpr std::optional<NodeId> next(NodeId node) const
    {
        std::uint64_t const higher =
            node.value() + 1u >= capacity ? 0 : bits_ & (~std::uint64_t{0} << (node.value() + 1u));
        return NodeMask{higher}.first();
    }
    // The next member after `node`, wrapping round; `node` itself if it is the only member. Must not be empty.
    [[nodiscard]] constexpr NodeId cycle(NodeId node) const
    {
        HV_ASSERT(!empty());
        if (std::optional<NodeId> const above_node = next(node))
            return *above_node;
        return *first();
    }

    friend constexpr NodeMask operator&(NodeMask a, NodeMask b) { return NodeMask{a.bits_ & b.bits_}; }
    friend constexpr NodeMask operator|(NodeMask a, NodeMask b) { return NodeMask{a.bits_ | b.bits_}; }
    friend constexpr NodeMask operator-(NodeMask a, NodeMask b) { return NodeMask{a.bits_ & ~b.bits_}; }
    friend constexpr bool operator==(NodeMask, NodeMask) = default;

    class Iterator {
    public:
        using value_type = NodeId;
        using difference_type = std::ptrdiff_t;

        constexpr Iterator() = default;
        constexpr explicit Iterator(std::uint64_t rest) : rest_{rest} {}
        constexpr NodeId operator*() const { return NodeId{static_cast<NodeId::Rep>(std::countr_zero(rest_))}; }
        constexpr Iterator& operator++()
        {
            rest_ &= rest_ - 1;
            return *this;
        }
        constexpr Iterator operator++(int)
        {
            Iterator old{*this};
            ++*this;
            return old;
        }
        friend constexpr bool operator==(Iterator, Iterator) = default;

    private:
        std::uint64_t rest_{0};
    };
    [[nodiscard]] constexpr Iterator begin() const { return Iterator{bits_}; }
    [[nodiscard]] constexpr Iterator end() const { return Iterator{}; }

private:
    constexpr explicit NodeMask(std::uint64_t bits) : bits_{bits} {}
    static constexpr std::uint64_t bit_of(NodeId node)
    {
        HV_ASSERT(node.value() < capacity);
        return std::uint64_t{1} << node.value();
    }

    std::uint64_t bits_{0};
};

class AtomicCpuMask {
public:
    constexpr AtomicCpuMask() = default;
    AtomicCpuMask(AtomicCpuMask const&) = delete;
    AtomicCpuMask& operator=(AtomicCpuMask const&) = delete;

    // seq_cst throughout: "queue, then read who idles" and "announce idle, then look at queues" must not both miss.
    void set(CpuId cpu)
    {
        unsigned const index = CpuMask::word_of(cpu);
        words_[index].fetch_or(CpuMask::bit_of(cpu));
        summary_.fetch_or(std::uint64_t{1} << index);
    }

    void clear(CpuId cpu)
    {
        unsigned const index = CpuMask::word_of(cpu);
        std::uint64_t const before = words_[index].fetch_and(~CpuMask::bit_of(cpu));
        if ((before & ~CpuMask::bit_of(cpu)) != 0)
            return;
        summary_.fetch_and(~(std::uint64_t{1} << index));
        // A peer may have set a bit of this word between our two steps and its summary bit before our second.
        if (words_[index].load() != 0)
            summary_.fetch_or(std::uint64_t{1} << index);
    }

    [[nodiscard]] bool test(CpuId cpu) const
    {
        return (words_[CpuMask::word_of(cpu)].load() & CpuMask::bit_of(cpu)) != 0;
    }

    [[nodiscard]] bool empty() const { return summary_.load() == 0; }
    // Whether anybody but `cpu` is in it.
    [[nodiscard]] bool has_others(CpuId cpu) const
    {
        unsigned const index{CpuMask::word_of(cpu)};
        return (summary_.load() & ~(std::uint64_t{1} << index)) != 0 ||
               (words_[index].load() & ~CpuMask::bit_of(cpu)) != 0;
    }

    [[nodiscard]] CpuMask snapshot() const
    {
        CpuMask result;
        for (std::uint64_t rest = summary_.load(); rest != 0; rest &= rest - 1) {
            unsigned const index = CpuMask::lowest(rest);
            result.put(index, words_[index].load());
        }
        return result;
    }

private:
    std::atomic<std::uint64_t> summary_{0};
    std::array<std::atomic<std::uint64_t>, word_bits> words_{};
};

} // namespace hv
