"""What nv ab is tried on: changes that make something worse, changes that make nothing worse, and changes that do not work.

A change is a list of edits (file, text, new text); the text must be in the file exactly once, so that a case that the code
has outgrown is noticed. Or it is a policy with parameters. In new text, @@ is the old one."""
from dataclasses import dataclass, field

CREDIT, NUMA = "sched/credit", "sched/numacredit"


@dataclass
class Case:
    name: str
    edits: list = field(default_factory=list)
    base: str = "HEAD"
    change: str = ""           # instead of edits
    options: list = field(default_factory=list)
    figure: str = ""           # regressions: what gets worse, by 2 to 30 %
    status: int = 0            # sabotage: how nv ends...
    says: str = ""             # ...and what it says, a regular expression


def numacredit(setting, figure, part=""):
    """`part` of the suite: where it shows."""
    return Case(setting, base="numacredit", change=f"numacredit:{setting}", figure=figure, options=["-k", part] if part else [])


def credit(setting, figure, part=""):
    return Case(f"credit's {setting}", base="credit", change=f"credit:{setting}", figure=figure, options=["-k", part] if part else [])


def edit(name, file, old, new, **more):
    return Case(name, [(file, old, new)], **more)


REGRESSIONS = [
    numacredit("tslice_ms=33", "wait_p99"),
    numacredit("tslice_ms=31", "share_error", "1cpu"),
    numacredit("ratelimit_us=1100", "wake_p50", "1cpu"),
    numacredit("allowance_us=0", "share_error", "1cpu"),
    numacredit("credit_limit_us=5000", "wait_p50", "wakelat"),
    numacredit("credit_limit_us=2000", "wait_p99", "wakelat"),
    numacredit("steal_gain_us=40000", "switches", "weights-4cpu"),
    numacredit("steal_gain_us=60000", "switches", "weights-4cpu"),
    numacredit("wake_placement=0", "home", "nodeaff-mixed"),
    numacredit("patience_us=0", "home", "jbb-10-numa"),
    credit("migration_delay_us=1000", "cpu", "jbb-10"),
    credit("migration_delay_us=300", "wait_p50", "jbb-10"),
    credit("tslice_ms=33", "response_p99", "1cpu"),
    credit("tslice_ms=27", "switches", "4cpu"),
    credit("ratelimit_us=1200", "wake_p50", "1cpu"),
    edit("slices a tenth shorter", f"{CREDIT}/credit.cpp", ".slice = params_.tslice,", ".slice = Duration{params_.tslice} * 9 / 10,",
         figure="wait_p99"),
    edit("caps three percent too low", f"{CREDIT}/accounting.cpp", "ceil_div(domain.cap * period.credits_per_vcpu, 100)",
         "ceil_div(domain.cap * period.credits_per_vcpu, 103)", figure="share_error"),
    edit("heavy domains earn a twentieth less", f"{CREDIT}/accounting.cpp", "ceil_div(period.total * domain.weight * count, period.weight)",
         "ceil_div(period.total * domain.weight * count, period.weight) * (domain.weight > 256 ? 19 : 20) / 20", figure="share_error"),
    edit("half of the homesick stay away", f"{CREDIT}/balance.cpp", "if (step == BalanceStep::soft && !candidate.useful_preference)",
         "if (step == BalanceStep::soft && (!candidate.useful_preference || (now.ns() >> 10) % 2 == 0))", figure="home"),
    edit("budgets three percent too small", f"{NUMA}/accounting.cpp", "period.ns() * domain.cap / 100", "period.ns() * domain.cap * 97 / 10'000",
         figure="share_error"),
]

NEUTRAL = [
    edit("a comment", f"{CREDIT}/balance.cpp", "    for (CpuId const peer : victims) {", "    // Each of them.\n@@"),
    edit("an if instead of ?:", f"{CREDIT}/accounting.cpp", "peak = cap < peak ? cap : peak;", "if (cap < peak)\n            peak = cap;"),
    edit("a double negation", f"{CREDIT}/tickle.cpp", "if (current == Prio::idle) {", "if (!(current != Prio::idle)) {"),
    edit("an unsigned constant", f"{CREDIT}/pick.cpp", "unsigned const factor = near ? 1 : 2;", "unsigned const factor{near ? 1u : 2u};"),
    edit("braces", f"{CREDIT}/credit.cpp", "    if (runnable)\n        insert(mine, outgoing);", "    if (runnable) {\n        insert(mine, outgoing);\n    }"),
    edit("an early return turned round", f"{CREDIT}/balance.cpp", "        if (stolen != nullptr)\n            return stolen;\n        ++at(self).counters.steal_peer_idle;",
         "        if (stolen == nullptr)\n            ++at(self).counters.steal_peer_idle;\n        else\n            return stolen;"),
    edit("a counter more", f"{CREDIT}/credit.cpp", "    ++mine.counters.schedule;", "@@\n    mine.counters.steal_peer_idle += 0;"),
    edit("another text", f"{CREDIT}/credit.cpp", "migration_delay_us is 0 to 100000", "migration_delay_us: 0 to 100000"),
    edit("min by hand", f"{NUMA}/accounting.cpp", "total = total < most ? total : most;", "if (most < total)\n        total = most;"),
    edit("a store instead of an addition", f"{NUMA}/accounting.cpp", "vcpu.budget.fetch_add(share - vcpu.budget.load(relaxed), relaxed);",
         "vcpu.budget.store(share, relaxed);"),
    edit("counts before it adds", f"{NUMA}/accounting.cpp", "            sum += one.clock.load(relaxed) - before;\n            ++busy;",
         "            ++busy;\n            sum += one.clock.load(relaxed) - before;"),
    edit("the sign turned round", f"{NUMA}/queue.cpp", "if (ahead <= most && ahead >= -most) [[likely]]", "if (!(ahead > most) && !(-ahead > most)) [[likely]]"),
    edit("a comparison turned round", f"{NUMA}/numacredit.cpp", "if (now >= mine.until || current.yields)", "if (current.yields || mine.until <= now)"),
    edit("a name", f"{NUMA}/steal.cpp", "constexpr unsigned most_depth{8};", "constexpr unsigned depth_limit{8};\nconstexpr unsigned most_depth{depth_limit};"),
    edit("another order of questions", f"{NUMA}/place.cpp", "return vcpu.hard_affinity.test(cpu) && pool_.members().test(cpu);",
         "return pool_.members().test(cpu) && vcpu.hard_affinity.test(cpu);"),
    # Who comes first among equals.
    edit("tie: which idle pCPU is the first to be woken", f"{CREDIT}/types.hpp", "CpuId last_tickled{};", "CpuId last_tickled{pcpu.id};"),
    edit("tie: the newest of equals first", f"{NUMA}/queue.cpp", "!(vcpu.at < before->at)", "before->at < vcpu.at"),
    edit("tie: where a search begins", f"{CREDIT}/credit.cpp", "CpuId{static_cast<CpuId::Rep>(pool_.pcpu_limit() - 1)}", "CpuId{0}"),
    edit("tie: the oldest domain is paid first", f"{CREDIT}/accounting.cpp", "        if (!domain.is_linked())\n            active_.push_front(domain);",
         "        if (!domain.is_linked())\n            active_.push_back(domain);"),
    edit("tie: the oldest vCPU is paid first", f"{CREDIT}/accounting.cpp", "domain.active.push_front(vcpu);", "domain.active.push_back(vcpu);"),
]

SCHEDULE = (f"{CREDIT}/credit.cpp", "    ++mine.counters.schedule;")
START = ("boot/main.cpp", "    boot::start(magic, PhysAddr{info});")
BOOTED = ["--kernel", "-k", "memory-2"]


def in_schedule(name, code, **more):
    return edit(name, *SCHEDULE, f"@@\n    {code}", **more)


SABOTAGE = [
    in_schedule("does not compile", "this is not C++;", status=4, says=r"\Asched/credit/credit\.cpp:\d+:\d+: error: .*\n(.*\n)*nv: change, .*does not compile"),
    in_schedule("does not compile for a warning", "int unused{0};", status=4, says=r"\Asched/credit/credit\.cpp:\d+:\d+: error: unused variable.*\n(.*\n)*nv: change, .*does not compile"),
    Case("does not link", [(f"{CREDIT}/credit.cpp", "Decision Credit::schedule(", "int nobody_defines_this(int);\n@@"),
                           (*SCHEDULE, "@@\n    mine.counters.schedule += static_cast<unsigned>(nobody_defines_this(1));")],
         status=4, says=r"undefined reference.*\n(.*\n)*nv: change, .*does not compile"),
    in_schedule("hangs at once", "for (;;)\n        at(self).counters.vcpu_hot = at(self).counters.vcpu_hot + (pool_.members().empty() ? 1 : 0);", status=3, says="gave no figures for"),
    in_schedule("hangs later", "while (now.ns() > 3'000'000'000 && now.ns() < 3'050'000'000 && mine.counters.schedule != 0)\n        mine.queue.partition();", status=3, says="gave no figures for"),
    in_schedule("asserts", "HV_ASSERT(mine.counters.schedule < 400);", status=4, says=r"assertion failed: mine\.counters\.schedule < 400"),
    in_schedule("runs nobody at all", "if (mine.counters.schedule > 20)\n        return {};", status=4, says=r"nv: change, .*(assertion failed|signal 11)"),
    edit("corrupts a list", f"{CREDIT}/credit.cpp", "    insert(pcpu, data(vcpu));\n    if (is_traced())", "    insert(pcpu, data(vcpu));\n    insert(pcpu, data(vcpu));\n    if (is_traced())",
         status=4, says=r"assertion failed"),
    edit("prints garbage", "tools/nv/metrics_json.cpp", 'member("seed", identity_.seed);', 'text_ += "\\x07%$#";\n        @@', status=4, says="make no sense"),
    edit("prints without end", "tools/nv/metrics_json.cpp", 'member("seed", identity_.seed);', 'for (;;)\n            std::fputs("garbage garbage garbage garbage\\n", stdout);\n        @@', status=4, says="wrote more than"),
    edit("triple-faults", *START, "struct [[gnu::packed]] {\n        std::uint16_t limit{0};\n        std::uint64_t base{0};\n    } const no_table;\n"
         '    asm volatile("lidt %0; ud2" ::"m"(no_table));\n@@', options=BOOTED, status=4, says="triple fault"),
    edit("panics", *START, "    HV_ASSERT(magic == 0);\n@@", options=BOOTED, status=4, says="assertion failed: magic == 0"),
    edit("hangs in the kernel", *START, "    while (magic != 0)\n        arch::relax();\n@@", options=BOOTED, status=3, says="no sign of life"),
]

# What make test runs: cheap, because nothing is compiled, or one small file.
QUICK = {"a comment", "tslice_ms=33", "caps three percent too low", "does not compile", "asserts"}
QUICK_OPTIONS = ["-k", "1cpu"]
