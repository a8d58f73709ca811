"""A copy of the sources with all that was built of them, in which make compiles what a change touches and nothing else.

The copy lies in a folder of its own with its objects in `build` below it. Files keep their times, so what was built elsewhere is
as good here. restore() undoes a change: sources and objects are again those of before, and are not compiled again."""
import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDERS = ("arch", "boot", "guest", "mm", "sched", "scripts", "tests", "tools")
# Whoever called us may be a make, too; and a patch is for this tree, not for the repository around it.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GNUMAKEFLAGS")}


class Broken(Exception):
    """A change that cannot be applied or compiled, or a build that is not there. One line."""


def sources():
    yield pathlib.Path("Makefile")
    for folder in FOLDERS:
        yield from (p.relative_to(ROOT) for p in sorted((ROOT / folder).rglob("*")) if p.is_file() and "__pycache__" not in p.parts)


def is_as_old(a, b):
    return b.exists() and a.stat().st_mtime_ns == b.stat().st_mtime_ns and a.stat().st_size == b.stat().st_size


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


class Tree:
    # flavours: the folders of `build` that are taken along.
    def __init__(self, folder, build, flavours):
        self.folder, self.build = folder.resolve(), build.resolve()
        self.ours, self.flavours = self.folder / "build", ("batches", *flavours)
        for flavour in flavours:
            if not (self.build / flavour).is_dir():
                raise Broken(f"{self.build / flavour}: is not there; make builds it")
        self.sync()

    def sync(self):
        names = set(sources())
        for name in names:
            if not is_as_old(ROOT / name, self.folder / name):
                copy(ROOT / name, self.folder / name)
        for stale in (p for f in FOLDERS for p in (self.folder / f).rglob("*") if p.is_file() and p.relative_to(self.folder) not in names):
            stale.unlink()
        built = {p.relative_to(self.build) for flavour in self.flavours for p in (self.build / flavour).rglob("*") if p.is_file()}
        for name in built:
            if not is_as_old(self.build / name, self.ours / name) and name.suffix != ".d":
                self.take(name)
        for stale in (p for p in self.ours.rglob("*") if p.is_file() and p.parent != self.ours and p.relative_to(self.ours) not in built):
            stale.unlink()

    # An object with its dependencies, which name the folder that they lie in.
    def take(self, name):
        copy(self.build / name, self.ours / name)
        dependencies = (self.build / name).with_suffix(".d")
        if name.suffix != ".o" or not dependencies.exists():
            return
        text = dependencies.read_text()
        there = text[:text.find("/" + str(name))].lstrip()
        (self.ours / name).with_suffix(".d").write_text(text.replace(there + "/", "build/"))

    # check: nothing is changed, it is only tried.
    @staticmethod
    def apply(patch, folder=ROOT, check=False):
        environment = ENVIRONMENT | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
        options = ["--check"] if check else []
        result = subprocess.run(["git", "apply", *options, str(patch)], cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment)
        if result.returncode != 0:
            raise Broken(f"{patch.name}: {result.stderr.splitlines()[0].removeprefix('error: ')}; make the patch anew")

    def make(self, target):
        """The program, with what has been changed; Broken with the compiler's first error."""
        (self.ours / target).unlink(missing_ok=True)  # It may be newer than what restore() brought back.
        result = subprocess.run(["make", "O=build", "--no-print-directory", f"build/{target}"], cwd=self.folder, capture_output=True, text=True,
                                stdin=subprocess.DEVNULL, env=ENVIRONMENT)
        if result.returncode != 0:
            lines = [line for line in result.stderr.splitlines() if "error" in line or "undefined reference" in line] or result.stderr.splitlines() or ["make failed"]
            raise Broken(f"does not compile: {lines[0].strip()}")
        return self.ours / target

    def restore(self, changed, since):
        """The files `changed` are those of the sources again, and whatever was built after `since` is what it was before."""
        for name in changed:
            copy(ROOT / name, self.folder / name)
        for path in (p for flavour in self.flavours for p in (self.ours / flavour).rglob("*.o") if p.stat().st_mtime > since):
            name = path.relative_to(self.ours)
            if (self.build / name).exists():
                self.take(name)
            else:
                path.unlink()
