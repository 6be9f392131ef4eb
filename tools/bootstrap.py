#!/usr/bin/env python3
"""Make, once, the virtual environment that this checkout is run and tested in; print its path.

Needs nothing but Python 3.11. The environment is in the user's cache, named after what it is made from (the lock
file, the Python, the place of this checkout), so that a changed lock makes a new one and an old one is never mended.
Exactly what `requirements.lock` lists is installed, each file checked against its hash. The native reader is built
besides where `cargo` is (`native.py`). Progress goes to stderr.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from streams.native import sources_hash  # noqa: E402 -- a file that needs nothing but Python
from tools import native  # noqa: E402 -- likewise

LOCK = ROOT / "requirements.lock"
WHOLE = "complete"  # a file in the environment, written last
ROOM_MB = 1500
WIDTH = 100


class BootstrapError(Exception):
    """One sentence that says what is missing and what to do."""


def cache() -> Path:
    """The same folder as the package's own downloads."""
    if own := os.environ.get("TAILRACE_CACHE"):
        return Path(own).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "tailrace"


def key() -> str:
    """Changes with whatever the environment is made from."""
    made_from = [LOCK.read_bytes(), sys.version.encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(made_from)).hexdigest()[:16]


def say(line: str) -> None:
    """Progress, for people."""
    print(f"bootstrap: {line}", file=sys.stderr, flush=True)  # noqa: T201


def run(words: list[str], what: str, variables: dict[str, str] | None = None) -> None:
    """Run a program, its progress shown as one changing line; raises `BootstrapError` with its last words."""
    shown = sys.stderr.isatty()
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=os.environ | (variables or {})
    )
    if process.stdout is None:
        raise BootstrapError(f"{what} failed: no output to read")
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if shown:
            print(f"\r\x1b[K  {lines[-1][:WIDTH]}", end="", file=sys.stderr, flush=True)  # noqa: T201
    if shown:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)  # noqa: T201
    if process.wait():
        raise BootstrapError(f"{what} failed: {reason(lines)}")


def reason(lines: list[str]) -> str:
    """Why a program failed, as one sentence."""
    text = "\n".join(lines)
    if "No space left on device" in text:
        return f"the disk of `{cache()}` is full: make room, or set TAILRACE_CACHE elsewhere"
    if any(word in text for word in ("NewConnectionError", "ConnectTimeout", "Name or service", "ProxyError")):
        return "the package index cannot be reached: check the network, or pip's own settings for a mirror"
    errors = [line for line in lines if line.startswith(("ERROR", "error"))]
    return (errors or [line for line in lines if line] or ["it said nothing"])[-1]


def build(folder: Path) -> None:
    """Make the environment in ``folder``, whatever a killed run left there."""
    shutil.rmtree(folder, ignore_errors=True)
    if shutil.disk_usage(folder.parent).free < ROOM_MB * 1_000_000:
        raise BootstrapError(f"`{folder.parent}` has less than {ROOM_MB} MB free: make room, or set TAILRACE_CACHE")
    begun = time.monotonic()
    say(f"making a virtual environment with Python {sys.version.split()[0]}…")
    try:
        run([sys.executable, "-m", "venv", str(folder)], "making a virtual environment")
    except BootstrapError as error:
        raise BootstrapError(f"{error} (on Debian, install the package `python3-venv`)") from error
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    say("installing what requirements.lock lists…")
    run([*pip, "--require-hashes", "--no-deps", "-r", str(LOCK)], "installing requirements.lock")
    run([*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], "installing tailrace itself")
    (folder / WHOLE).touch()
    say(f"ready in {time.monotonic() - begun:.0f} s")


def environment() -> Path:
    """The environment of this checkout, made first if need be."""
    if sys.version_info < (3, 11):  # noqa: UP036 -- whoever runs this may have any Python
        raise BootstrapError(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    folder = cache() / "venvs" / key()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second run waits, and finds it made
        if not (folder / WHOLE).exists():
            build(folder)
        native.install(folder, cache(), sources_hash(), run, BootstrapError, say)
    return folder


def main() -> int:
    """Exit code 0 and the path on stdout, or 1 and one sentence on stderr."""
    try:
        folder = environment()
    except BootstrapError as error:
        say(f"error: {error}")
        return 1
    except OSError as error:
        say(f"error: {error.strerror}: `{error.filename}`; set TAILRACE_CACHE to a folder that can be written")
        return 1
    print(folder)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
