"""What brings pages of rows into canonical form: the native writer where there is one, else Python's."""

from collections.abc import Iterable
from functools import cache
from types import ModuleType
from typing import Protocol, cast

from changes import canonical_pages
from changes.canonical import field, tag_of
from changes.schema import Column
from streams.capture.engine import native_module


class Page(Protocol):
    """See `changes.canonical_pages.Page`."""

    def rows(self, names: Iterable[str]) -> list[bytes]: ...

    def hashes(self, names: Iterable[str]) -> list[int]: ...


class Writer(Protocol):
    """See `changes.canonical_pages.Writer`."""

    def page(self, values: Iterable[canonical_pages.Values]) -> Page: ...


def writer_of(columns: Iterable[Column], *, lenient: bool = False) -> Writer:
    """For pages of one column list, see `changes.canonical_pages.Writer`."""
    module = _native()
    if module is None:
        return canonical_pages.Writer(columns, lenient=lenient)
    return native_writer(module, columns, lenient=lenient)


def native_writer(module: ModuleType, columns: Iterable[Column], *, lenient: bool = False) -> Writer:
    """The native module's: values that are not of the type their kind is usually held in it hands to
    `changes.canonical.field`."""
    told = [(column.name, column.kind, tag_of(column.kind)) for column in columns]
    return cast("Writer", module.PageWriter(told, field, lenient))


@cache
def _native() -> ModuleType | None:
    return native_module(instead="Python digests what is audited")
