"""What mutation checks share: each mutant is one small change of one file, with which the tests must fail."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def run(*command, cwd=ROOT, timeout=600, **options):
    return subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout, **options)


def says(result):
    """Whether it ended well; else its first lines go to stderr."""
    if result.returncode != 0:
        print(result.stderr.decode(errors="replace")[:400], file=sys.stderr)
    return result.returncode == 0


def judge(mutants, pattern, tests_pass):
    """mutants: (what is missing, file, what is there, what the mutant has instead). tests_pass(file, text): whether they pass when
    the file has this text, None if it does not compile. Prints a line a mutant; the exit status: 1 if one survives, 4 if one is broken."""
    survivors = broken = caught = 0
    for what, name, there, instead in mutants:
        if pattern not in what:
            continue
        text = (ROOT / name).read_text()
        if text.count(there) != 1:
            print(f"mutants: {name}: '{there}' is there {text.count(there)} times, wanted once", file=sys.stderr)
            broken += 1
            continue
        result = tests_pass(name, text.replace(there, instead))
        verdict = {False: "caught", True: "SURVIVES", None: "does not compile"}[result]
        survivors, broken, caught = survivors + (result is True), broken + (result is None), caught + (result is False)
        print(f"{verdict:16} {name}: without {what}", flush=True)
    print(f"{caught} caught, {survivors} survived, {broken} broken")
    return 4 if broken else int(survivors > 0)
