"""The native reader: bytes and batches pass through it, Python decides what a table is and what a statement means."""

from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

from changes.errors import TailraceError
from changes.gtid import MariadbGtids
from streams.binlog import events, values
from streams.binlog.charsets import Charset
from streams.binlog.connection import refusal
from streams.binlog.decimal import decimal_size
from streams.capture.batch import LARGEST_XA, LIMITS, Beginning, Limits, Read
from streams.capture.layouts import Layouts, refuse, too_large, unreadable
from streams.capture.plain import now_ms
from streams.capture.statements import Meaning, Statement

_INTEGER_BYTES = {values.TINY: 1, values.SHORT: 2, values.INT24: 3, values.LONG: 4, values.LONGLONG: 8}


class NativeReader:
    """See `streams.capture.batch.Reader`. ``module`` is ``tailrace_native``."""

    name = "native"

    def __init__(
        self,
        module: ModuleType,
        layouts: Layouts,
        beginning: Beginning,
        limits: Limits = LIMITS,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._layouts, self._clock = layouts, clock
        partial = beginning.partial
        self._reader: Any = module.Reader(
            version=layouts.version,
            database=layouts.database,
            tables=list(layouts.tables),
            mariadb=isinstance(beginning.executed, MariadbGtids),
            epoch=beginning.epoch,
            executed=beginning.executed.ordinal,
            position=beginning.position,
            file=beginning.file,
            offset=beginning.offset,
            partial=None if partial is None else (partial.gtid, partial.rows),
            full=limits.full,
            largest_message=limits.largest_message,
            largest_held=LARGEST_XA,
        )
        self._altered: Meaning | None = None

    def read(self, chunks: Iterator[memoryview]) -> Iterator[Read]:
        for chunk in chunks:
            self._reader.feed(chunk)
            try:
                yield from self._decoded()
            except (ValueError, TailraceError) as error:
                yield from self._taken()  # what was read before is told before what is wrong
                if isinstance(error, ValueError):
                    file, offset = self._reader.place
                    raise unreadable(file, offset, error) from error
                raise

    def _decoded(self) -> Iterator[Read]:
        while True:
            said = self._reader.decode(self._clock())
            if said == "asks":
                yield from self._answered(self._reader.question)
                continue
            if said == "holds":
                raise too_large(self._reader.gtid)
            yield from self._taken()
            if said == "ended":
                raise refusal(self._reader.question)
            if said == "hungry":
                return

    def _taken(self) -> Iterator[Read]:
        batch = self._reader.take()
        if batch is not None:
            altered, self._altered = self._altered, None
            yield Read(batch, altered)

    def _answered(self, event: bytes) -> Iterator[Read]:
        type_ = events.header(event).type
        if type_ == events.TABLE_MAP:
            self._show(event)
        elif type_ == events.QUERY:
            yield from self._decided(self._layouts.classify(event, inside=self._reader.inside))
        elif type_ == events.XA_PREPARE:
            self._layouts.prepared(event, touched=self._reader.touched, gtid=self._reader.gtid)
            self._reader.decide("end")
            yield from self._taken()
        elif type_ in events.ROWS:  # of captured tables, in what XA PREPARE will end
            refuse(events.XA_PREPARE, self._reader.gtid)
        elif type_ == events.PAYLOAD:
            self._reader.unfolded(b"".join(events.payload(event)))
        else:
            refuse(type_, self._reader.gtid)

    def _decided(self, meaning: Meaning) -> Iterator[Read]:
        self._reader.decide(meaning.statement.name.lower())
        if meaning.statement is Statement.DDL or meaning.tables:
            self._altered = meaning
            yield from self._taken()
        elif meaning.statement is Statement.XA:
            yield from self._taken()
            self._reader.hold()

    def _show(self, event: bytes) -> None:
        number, table_map, plan = self._layouts.add(event)
        kept = set(plan.names)
        names = [column.name for column in table_map.schema.columns]
        columns = [(name, self._form(form), name in kept) for name, form in zip(names, table_map.forms, strict=True)]
        key = [names.index(name) for name in plan.schema.key]
        given = self._reader.add_layout(plan.schema.table, columns, key)
        if given != number:
            raise RuntimeError(f"layout {number} is known as {given}")

    def _form(self, form: values.Form) -> tuple[Any, ...]:
        build, *sizes = form
        what = build.__name__.rstrip("_")
        if build is values.integer:
            type_, unsigned = sizes
            return what, _INTEGER_BYTES[type_], unsigned
        if build is values.decimal:
            return (what, *sizes, decimal_size(*sizes))
        if build is values.text:
            width, charset = sizes
            if not self._reader.has_charset(charset.name):
                self._reader.add_charset(charset.name, code_points(charset), charset.decode)
            return what, width, charset.name
        return (what, *sizes)


_UTF8 = {"utf8mb4", "utf8mb3", "utf8"}
_SINGLE_BYTE = {
    *("ascii", "latin1", "latin2", "latin5", "latin7", "greek", "hebrew", "cp1250", "cp1251", "cp1256", "cp1257"),
    *("cp850", "cp852", "cp866", "koi8r", "koi8u", "tis620", "macroman"),
}
_DOUBLE_BYTE = {"gbk", "gb2312", "big5", "sjis", "cp932"}
_LEAD, _NOTHING = 2**32 - 1, 2**32 - 2


@cache
def code_points(charset: Charset) -> list[list[int]] | None:
    """Tables by which text is read without Python's codec: none needed for UTF-8, of 256 code points where a byte is a
    character, and of 65,536 more where pairs are. ``None``: the codec is to be asked."""
    if charset.name in _UTF8:
        return []
    if charset.name in _SINGLE_BYTE:
        return [[_point(charset, bytes([byte]), _NOTHING) for byte in range(256)]]
    if charset.name in _DOUBLE_BYTE:
        singles = [_point(charset, bytes([byte]), _LEAD) for byte in range(256)]
        pairs = [_NOTHING] * 65_536
        for lead in (byte for byte in range(256) if singles[byte] == _LEAD):
            for second in range(256):
                pairs[lead << 8 | second] = _point(charset, bytes([lead, second]), _NOTHING)
        return [singles, pairs]
    return None


def _point(charset: Charset, data: bytes, otherwise: int) -> int:
    try:
        text = charset.decode(data)
    except ValueError:
        return otherwise
    return ord(text) if len(text) == 1 else otherwise
