"""Whether native code does what Python can do too: where it was built from these very sources. And so which reader
decodes the binlog."""

import importlib
import logging
import os
from collections.abc import Mapping
from types import ModuleType

from changes.errors import Misconfigured
from streams.capture.batch import LIMITS, Beginning, Limits, Reader
from streams.capture.layouts import Layouts
from streams.capture.native import NativeReader
from streams.capture.plain import PlainReader
from streams.native import MODULE, sources_hash

log = logging.getLogger(__name__)

VARIABLE = "TAILRACE_ENGINE"
"""``native`` or ``python``; where it is not set, native if that is there."""


def native_module(
    environ: Mapping[str, str] = os.environ, *, instead: str = "Python reads the binlog"
) -> ModuleType | None:
    """The native module, or ``None`` where Python is to do without; ``instead`` says what that is.

    Raises `Misconfigured` where ``environ`` asks for what is not there. A module that was built from other sources is
    never used: it could make other bytes.
    """
    wanted = environ.get(VARIABLE, "")
    if wanted not in {"", "native", "python"}:
        raise Misconfigured(f"{VARIABLE} is `native` or `python`, not `{wanted}`")
    if wanted == "python":
        return None
    expected = sources_hash()
    try:
        module = importlib.import_module(MODULE)
        if not expected or expected == module.SOURCES:
            return module
        why = f"the native reader was built from other sources ({module.SOURCES or 'unknown'})"
    except ImportError as error:
        why = f"there is no native reader ({error})"
    advice = "`python3 tools/bootstrap.py` builds it where `cargo` is"
    if wanted == "native":
        raise Misconfigured(f"{VARIABLE}=native, and {why}: {advice}")
    log.warning("%s: %s, several times slower; %s", why, instead, advice)
    return None


def reader_of(module: ModuleType | None, layouts: Layouts, beginning: Beginning, limits: Limits = LIMITS) -> Reader:
    """The reader that ``module`` stands for."""
    if module is None:
        return PlainReader(layouts, beginning, limits)
    return NativeReader(module, layouts, beginning, limits)


def engine_of(module: ModuleType | None) -> str:
    """What that reader is called."""
    return PlainReader.name if module is None else NativeReader.name
