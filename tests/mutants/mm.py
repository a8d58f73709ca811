#!/usr/bin/env python3
"""Show that the tests of mm/ notice a missing bound check or counter update.

usage: tests/mutants/mm.py [-k PATTERN] [BUILD_DIR]

Each mutant is one small change of mm/. It is made in a copy of the tree under BUILD_DIR (default build/mutants), mm's unit
tests are built with it and run, and must fail. Prints a line a mutant; exit status 1 if one survives, 4 if one does not
compile or the tests fail without any."""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FLAGS = ["-std=c++20", "-I.", "-Iarch/host/include", "-pthread", "-DHV_DEBUG", "-O1", "-w"]
# (what is missing, file, what is there, what the mutant has instead)
MUTANTS = [
    ("the limit of a domain", "mm/domain_account.hpp", "if (before > limit || pages > limit - before)", "if (before > limit)"),
    ("the count of a domain's pages on a node", "mm/domain_account.hpp",
     "on_node_[node.value()].fetch_sub(pages, std::memory_order_relaxed);", "static_cast<void>(node);"),
    ("the bound of a cache", "mm/page_cache.hpp", "|| depth >= stack.capacity ||", "|| (depth >= stack.capacity && depth >= 64) ||"),
    ("the charge of a cached page", "mm/page_cache.hpp", "owner->charge(node_, order.pages());", ";"),
    ("the order in the check of a cached free", "mm/page_cache.hpp", "if (!entry.is(PageState::used, order))",
     "if (entry.state() != PageState::used)"),
    ("the gate that keeps others off claimed memory", "mm/node_allocator.cpp", "if (free_count() < claimed_ - own_claim + pages)",
     "if (free_count() < pages)"),
    ("the claim that an allocation uses up", "mm/node_allocator.cpp", "claimed_ -= from_claim;", ";"),
    ("the claims in the bound of a refill", "mm/node_allocator.cpp", "unclaimed() / order.pages()",
     "free_count() / order.pages()"),
    ("the pages that a take counts off its shelf", "mm/buddy.cpp", "pages_[index_of(shelf)] -= order.pages();", ";"),
    ("the order in the check of a buddy", "mm/buddy.cpp", "region.get(buddy).is(PageState::free, order);",
     "region.get(buddy).state() == PageState::free;"),
    ("the reserve of low memory", "mm/buddy.cpp", "low_pages() < low_floor + order.pages()", "low_pages() < order.pages()"),
    ("the address limit in a split", "mm/buddy.cpp", "address_of(upper.first).value() + to.bytes() <= below",
     "address_of(upper.first).value() <= below"),
    ("the dirt of a dead domain", "mm/node_allocator.cpp", "account != nullptr && account->is_dying()", "account == nullptr && order.pages() == 0"),
    ("the budget of a scrub", "mm/node_allocator_scrub.cpp", "static_cast<unsigned>(std::bit_width(budget - zeroed)) - 1;", "Order::largest;"),
    ("the cached pages that a needy node calls back", "mm/node_allocator.cpp", "if (!block && !request.spares_low && drain_caches())",
     "if (!block && request.spares_low && drain_caches())"),
    ("the way back of a VM that could not be built", "mm/domain_memory.cpp", "    if (!built)\n", "    if (!built && wanted.pages == 0)\n"),
    ("the owner in the search for a dead domain's blocks", "mm/node_allocator_checks.cpp",
     "entry.owner() == owner)\n                return BlockRef{&region, at};", "entry.owner().value() >= 1)\n                return BlockRef{&region, at};"),
    ("the pages that go out of use when their block comes back", "mm/node_allocator.cpp", "if (entry.state() == PageState::retiring)",
     "if (entry.state() == PageState::offline)"),
    ("the count of pages out of use", "mm/node_allocator_retire.cpp", "++offline_;", ";"),
    ("the return of claims that came too late", "mm/page_allocator_claims.cpp",
     "nodes_[node.value()]->unclaim(account, account.claim_on(node) - before[node.value()]);", "static_cast<void>(before);"),
]


def run(*command, cwd, timeout=600):
    return subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout)


def objects_of(tree, sources, pool):
    """Compile what has no object yet; the objects, or None and what the compiler said."""
    def compile_one(source):
        target = tree / "o" / (source.replace("/", "_") + ".o")
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            result = run("g++", *FLAGS, "-c", source, "-o", target, cwd=tree)
            if result.returncode != 0:
                return None, result.stderr.decode(errors="replace")[:400]
        return target, ""
    return list(pool.map(compile_one, sources))


def includes_of(tree, sources, pool):
    """{source: what it includes, itself among it}."""
    return dict(zip(sources, pool.map(lambda s: run("g++", *FLAGS, "-MM", s, cwd=tree).stdout.decode().split(), sources)))


def tests_pass(tree, sources, pool):
    made = objects_of(tree, sources, pool)
    if errors := [text for target, text in made if target is None]:
        print(errors[0], file=sys.stderr)
        return None
    program = tree / "o/unit"
    linked = run("g++", "-pthread", *(target for target, _ in made), "-lgtest", "-lgtest_main", "-o", program, cwd=tree)
    if linked.returncode != 0:
        print(linked.stderr.decode(errors="replace")[:400], file=sys.stderr)
        return None
    try:
        return run(program, "--gtest_brief=1", "--gtest_fail_fast", cwd=tree, timeout=300).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="?", default="build/mutants", type=pathlib.Path)
    parser.add_argument("-k", default="", metavar="PATTERN", help="only mutants whose description contains it")
    arguments = parser.parse_args()
    tree = arguments.build.resolve()
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for folder in ("arch/generic", "arch/host/include", "mm", "tests/unit/mm", "tests/support"):
        shutil.copytree(ROOT / folder, tree / folder)
    # Tests of mm with other parts of the machine are no business of these mutants.
    sources = sorted(str(p.relative_to(tree)) for folder in ("mm", "tests/unit/mm") for p in (tree / folder).glob("*.cpp")
                     if "tests/unit/sched/" not in p.read_text())
    sources.append("tests/support/assert_host.cpp")
    survivors = broken = caught = 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        if tests_pass(tree, sources, pool) is not True:
            print("mutants: the tests fail even without one", file=sys.stderr)
            return 4
        includes = includes_of(tree, sources, pool)
        for what, name, there, instead in MUTANTS:
            if arguments.k not in what:
                continue
            file = tree / name
            text = file.read_text()
            if text.count(there) != 1:
                print(f"mutants: {name}: '{there}' is there {text.count(there)} times, wanted once", file=sys.stderr)
                broken += 1
                continue
            stale = [source for source in sources if name in includes[source]]
            file.write_text(text.replace(there, instead))
            for source in stale:
                (tree / "o" / (source.replace("/", "_") + ".o")).unlink(missing_ok=True)
            result = tests_pass(tree, sources, pool)
            file.write_text(text)
            for source in stale:
                (tree / "o" / (source.replace("/", "_") + ".o")).unlink(missing_ok=True)
            verdict = {False: "caught", True: "SURVIVES", None: "does not compile"}[result]
            survivors, broken, caught = survivors + (result is True), broken + (result is None), caught + (result is False)
            print(f"{verdict:16} {name}: without {what}", flush=True)
    print(f"{caught} caught, {survivors} survived, {broken} broken")
    return 4 if broken else bool(survivors)


sys.exit(main())
