// One line of input, from text to answer: parsed, carried out, and where it is wrong, said so. Locking: none. Floor:
// boot/console.
#pragma once

#include "boot/console/executor.hpp"
#include "boot/console/line_editor.hpp"

namespace hv::console {

// In JSON the last row says {"end": true, "ok": whether nothing was refused}.
void run_line(Context& context, std::string_view line);

// Names of commands, their options, and names of VMs.
class CommandCompleter final : public Completer {
public:
    constexpr explicit CommandCompleter(Machine& machine) : machine_{machine} {}
    [[nodiscard]] std::optional<std::string_view> candidate(std::string_view before, unsigned index) const override;

private:
    Machine& machine_;
};

} // namespace hv::console
