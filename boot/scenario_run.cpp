#include "boot/scenario_run.hpp"

#include "boot/refuse.hpp"

namespace hv::boot {

arch::ExitCode run_scenario(Kernel& k)
{
    refuse("scenario at {:x}: this kernel cannot run scenarios yet; boot it without a module", k.info.module->start);
}

} // namespace hv::boot
