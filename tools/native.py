#!/usr/bin/env python3
"""Build the native reader (`streams/native`, Rust) once for its sources, and put it into an environment.

It is kept in the user's cache by the hash of its sources, which is also inside it. Where `cargo` is not, or the build
fails, one line says so and Python reads the binlog: slower, the same bytes.

`Cargo.pins` is the lock file without the name that cargo gives its registry; as a program this writes the lock file
from it, for whoever wants to call cargo by hand.
"""

import os
import platform
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "streams" / "native"
MODULE = "tailrace_native"

Run = Callable[[list[str], str, dict[str, str]], None]
"""Runs a program with these variables set besides; raises what the third argument of `install` names."""


def site_packages(environment: Path) -> Path:
    """Where an environment's modules are."""
    return Path(sysconfig.get_path("platlib", "venv", {"base": str(environment), "platbase": str(environment)}))


def install(
    environment: Path, cache: Path, sources: str, run: Run, failure: type[Exception], say: Callable[[str], None]
) -> None:
    """Put the module built from ``sources``, a hash, into ``environment``, if it is not there and can be had."""
    stamp = environment / "native"
    if stamp.exists() and stamp.read_text() == sources:
        return
    built = cache / "native" / f"{MODULE}-{sources}-{platform.machine()}.so"
    if not built.exists():
        if not shutil.which("cargo"):
            say("WARN: no `cargo` here, so Python reads the binlog: several times slower, the same bytes")
            return
        say("building the native reader…")
        try:
            build(built, environment, sources, run)
        except failure as error:
            say(f"WARN: {error}; Python reads the binlog: several times slower, the same bytes")
            return
    target = site_packages(environment) / f"{MODULE}.abi3.so"
    shutil.copy(built, target.with_suffix(".new"))
    target.with_suffix(".new").replace(target)  # never half a file, and never over one that is in use
    stamp.write_text(sources)


def lock(run: Run) -> None:
    """Write the lock file: every crate as pinned, from the registry that cargo here is set up with."""
    path, pins = SOURCES / "Cargo.lock", (SOURCES / "Cargo.pins").read_text()
    name = re.compile(r'^source = "(.+)"$', re.MULTILINE)
    if not path.exists():
        words = ["cargo", "generate-lockfile", "--manifest-path", str(SOURCES / "Cargo.toml")]
        run(words, "asking cargo for its registry", {})
    found = name.search(path.read_text())
    if found is not None:
        path.write_text(name.sub(f'source = "{found[1]}"', pins))


def build(built: Path, environment: Path, sources: str, run: Run) -> None:
    """Compile into ``built``; what cargo keeps for the next time is beside it."""
    target = built.parent / "target"
    target.mkdir(parents=True, exist_ok=True)
    variables = {
        "CARGO_TARGET_DIR": str(target),
        "PYO3_PYTHON": str(environment / "bin" / "python"),
        "TAILRACE_SOURCES": sources,
    }
    lock(run)
    words = ["cargo", "build", "--release", "--locked", "--manifest-path", str(SOURCES / "Cargo.toml")]
    run(words, "building the native reader", variables)
    copy = built.with_suffix(f".{os.getpid()}")
    shutil.copy(target / "release" / f"lib{MODULE}.so", copy)
    copy.replace(built)


def _run(words: list[str], _: str, variables: dict[str, str]) -> None:
    subprocess.run(words, check=True, env=os.environ | variables)


if __name__ == "__main__":
    lock(_run)
