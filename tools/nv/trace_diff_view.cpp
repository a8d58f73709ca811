// What a trace looks like around a divergence.
#include "tools/nv/trace_diff_report.hpp"
#include "tools/nv/trace_dump.hpp"
#include "tools/nv/trace_scene.hpp"

#include <fmt/format.h>

#include <deque>

namespace hv::nv {

namespace {

constexpr std::size_t lines_before = 6, lines_after = 8;
constexpr unsigned look_ahead = 20'000; // records, for where the pCPU goes next
constexpr std::size_t most_state_lines = 24;

class Viewer {
public:
    Viewer(std::uint64_t hz, Divergence const& at, Comparer::Side side)
        : us_a_tick_{1e6 / static_cast<double>(hz)}, at_{at}, record_{side == Comparer::Side::a ? at.a : at.b}
    {
    }

    [[nodiscard]] bool is_there(Timed const& timed) const
    {
        return timed.ns > at_.ns || (record_ && timed.record.offset == record_->offset);
    }

    void before(Timed const& timed)
    {
        scene_.record(timed.record);
        recent_.push_back(timed);
        if (recent_.size() > lines_before)
            recent_.pop_front();
    }

    void there()
    {
        for (Timed const& timed : recent_)
            view_.before.push_back(line(timed));
        describe_state();
        if (!record_)
            view_.after.push_back(fmt::format("(no further record of pCPU {})", at_.pcpu));
    }

    // false: seen enough.
    bool after(Timed const& timed)
    {
        if (view_.after.size() < lines_after)
            view_.after.push_back(line(timed));
        auto const change = sched::trace::decode_runstate(timed.record.event);
        if (view_.decision.empty() && timed.record.pcpu == at_.pcpu && change && change->to == RunState::running &&
            timed.record.word_count != 0)
            view_.decision = fmt::format("pCPU {} goes to {} at {:.9f} s", at_.pcpu,
                                         packed_name(timed.record.word_store[0]), static_cast<double>(timed.ns) / 1e9);
        return ++looked_ < look_ahead && (view_.decision.empty() || view_.after.size() < lines_after);
    }

    [[nodiscard]] DiffView finish()
    {
        if (view_.decision.empty())
            view_.decision = fmt::format("pCPU {} makes no further decision in sight", at_.pcpu);
        return std::move(view_);
    }

private:
    [[nodiscard]] static std::string line(Timed const& timed)
    {
        return dump_line(timed.record, static_cast<double>(timed.ns) / 1e9);
    }

    [[nodiscard]] std::string label(std::uint32_t packed) const
    {
        Scene::Vcpu const* const vcpu = scene_.vcpu(packed);
        std::string text{packed_name(packed)};
        if (vcpu == nullptr || is_idle_vcpu(packed))
            return text;
        text += fmt::format(" for {:.1f} us", static_cast<double>(scene_.now() - vcpu->since) * us_a_tick_);
        if (vcpu->priority)
            text += ", " + priority_name(*vcpu->priority);
        if (vcpu->credit)
            text += fmt::format(", credit {}", *vcpu->credit);
        return text;
    }

    void describe(std::uint32_t pcpu)
    {
        Scene::Pcpu const* const known = scene_.pcpu(pcpu);
        std::string text{
            fmt::format("pCPU {} runs {}", pcpu,
                        known != nullptr && known->current ? label(*known->current) : "somebody not seen")};
        for (std::uint32_t const packed : scene_.waiting_for(pcpu))
            text += fmt::format("; {} waits", label(packed));
        view_.state.push_back(std::move(text));
    }

    // The pCPU in question first, then those where somebody waits or nobody runs, then others.
    void describe_state()
    {
        describe(at_.pcpu);
        for (bool const wanted : {true, false})
            for (auto const& [pcpu, known] : scene_.pcpus()) {
                bool const is_telling = scene_.is_idle(pcpu) || !scene_.waiting_for(pcpu).empty();
                if (pcpu != at_.pcpu && is_telling == wanted && view_.state.size() < most_state_lines)
                    describe(pcpu);
            }
        if (scene_.pcpus().size() > view_.state.size())
            view_.state.push_back(fmt::format("and {} pCPUs more", scene_.pcpus().size() - view_.state.size()));
    }

    double us_a_tick_;
    Divergence const& at_;
    std::optional<Record> record_;
    Scene scene_;
    std::deque<Timed> recent_;
    DiffView view_;
    unsigned looked_{0};
};

} // namespace

DiffView view_divergence(TraceStream& stream, std::uint64_t hz, Divergence const& at, Comparer::Side side)
{
    Viewer viewer{hz, at, side};
    TimedStream timed{stream, hz};
    std::optional<Timed> next = timed.next();
    for (; next && !viewer.is_there(*next); next = timed.next())
        viewer.before(*next);
    viewer.there();
    while (next && viewer.after(*next))
        next = timed.next();
    return viewer.finish();
}

} // namespace hv::nv
