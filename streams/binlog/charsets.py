"""From a server's collation numbers to Python codecs."""

import codecs
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from changes.errors import Misconfigured

BINARY_COLLATION = 63


def _latin1_gaps(error: UnicodeError) -> tuple[str, int]:
    """MySQL's latin1 is cp1252 whose five unused bytes stand for the control characters of the same number."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error("tailrace.latin1", _latin1_gaps)

_CODECS = {
    "utf8mb4": "utf-8",
    "utf8mb3": "utf-8",
    "utf8": "utf-8",
    "ascii": "ascii",
    "latin1": "cp1252",
    "latin2": "iso8859-2",
    "latin5": "iso8859-9",
    "latin7": "iso8859-13",
    "greek": "iso8859-7",
    "hebrew": "iso8859-8",
    "cp1250": "cp1250",
    "cp1251": "cp1251",
    "cp1256": "cp1256",
    "cp1257": "cp1257",
    "cp850": "cp850",
    "cp852": "cp852",
    "cp866": "cp866",
    "koi8r": "koi8-r",
    "koi8u": "koi8-u",
    "gbk": "gbk",
    "gb2312": "gb2312",
    "gb18030": "gb18030",
    "big5": "big5",
    "sjis": "shift_jis",
    "cp932": "cp932",
    "ujis": "euc_jp",
    "eucjpms": "euc_jp",
    "euckr": "euc_kr",
    "tis620": "tis-620",
    "ucs2": "utf-16-be",
    "utf16": "utf-16-be",
    "utf16le": "utf-16-le",
    "utf32": "utf-32-be",
    "macroman": "mac-roman",
}


@dataclass(frozen=True)
class Charset:
    """``width`` is the most bytes that one character takes; VARCHAR lengths in the binlog count bytes."""

    name: str
    width: int

    def decode(self, data: bytes) -> str:
        """Raises `ValueError` where the bytes are not of this character set, `Misconfigured` for an unknown one."""
        codec = _CODECS.get(self.name)
        if codec is None:
            raise Misconfigured(f"columns in the character set `{self.name}` are not supported")
        return data.decode(codec, "tailrace.latin1" if codec == "cp1252" else "strict")


class Collations:
    """A server's collations by number."""

    def __init__(self, rows: Iterable[tuple[int, str, int]], *, of_geometry: bool = False) -> None:
        """``rows``: (collation number, character set, bytes of its widest character).

        ``of_geometry``: the server lists collations of geometry columns too, as MariaDB does.
        """
        self.of_geometry = of_geometry
        self._charsets: Mapping[int, Charset] = {number: Charset(name, width) for number, name, width in rows}

    def __getitem__(self, number: int) -> Charset:
        charset = self._charsets.get(number)
        if charset is None:
            raise Misconfigured(f"the server does not list collation number {number}")
        return charset
