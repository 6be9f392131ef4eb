"""The machine, as fetchers and servers see it: its cache, its environment, its programs."""

import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from pwd import getpwnam
from typing import Any

from tailrace.stack.errors import StackError, Unavailable

POLL_S = 0.2


@dataclass(frozen=True)
class Host:
    """Passed to whatever fetches or starts something; ``report`` may be called from several threads."""

    cache: Path
    environ: Mapping[str, str]
    report: Callable[[str], None]
    cancelled: threading.Event = field(default_factory=threading.Event)

    def check_cancelled(self) -> None:
        """Raise `StackError` if the work is no longer wanted."""
        if self.cancelled.is_set():
            raise StackError("stopped before everything was up; run the same command again to go on")

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        what: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        user: str | None = None,
    ) -> str:
        """Run a program to its end and return its standard output; ``env`` is added to the host's environment.

        Raises `StackError` naming ``what`` and the program's last words, also when it is cancelled meanwhile.
        ``user`` is an account to drop to (root only), without any of the caller's groups.
        """
        self.check_cancelled()
        try:
            with subprocess.Popen(
                [str(word) for word in argv],
                cwd=cwd,
                env={**self.environ, "LC_ALL": "C", **(env or {})},
                **account(user),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                umask=0o077,
            ) as process:
                out, err = self._communicate(process, stdin)
        except OSError as error:
            raise StackError(f"{what} failed: {error}") from error
        if process.returncode:
            raise StackError(f"{what} failed: {last_words(err) or last_words(out) or 'it said nothing'}")
        return out

    def _communicate(self, process: subprocess.Popen[str], stdin: str) -> tuple[str, str]:
        words: str | None = stdin
        while True:
            try:
                return process.communicate(words, timeout=POLL_S)
            except subprocess.TimeoutExpired:
                words = None
                if self.cancelled.is_set():
                    process.kill()
                    process.communicate()
                    self.check_cancelled()


def account(user: str | None) -> dict[str, Any]:
    """Arguments for `subprocess.Popen`: run as ``user`` and nobody else's group; as ourselves for ``None``."""
    return {"user": user, "group": getpwnam(user).pw_gid, "extra_groups": []} if user else {}


def one_at_a_time(report: Callable[[str], None]) -> Callable[[str], None]:
    """The same, called by one thread at a time."""
    guard = threading.Lock()

    def guarded(line: str) -> None:
        with guard:
            report(line)

    return guarded


def last_words(text: str) -> str:
    """The line of a failed program's output that most likely tells why."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if "No space left on device" in line:
            return line
    marked = [line for line in lines if line.startswith(("E: ", "[ERROR]")) and len(line) > len("[ERROR] ")]
    return (marked or lines[-1:] or [""])[0]


def packaged(module: str) -> Path:
    """The folder of an installed Python package that carries programs; it is not imported."""
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(f"the Python package `{module}` is missing: install `tailrace[stack]`")
    return Path(spec.submodule_search_locations[0])
