"""Every MySQL type at its extremes: what is inserted, and what stands in the envelope. The table is the test."""

import base64
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streams_logged import sent
from streams_readers import World, topology

from changes.canonical import Value
from changes.schema import TableSchema
from streams.binlog import events
from streams.binlog.packets import Packets
from streams.binlog.table_map import TableMap, parse_table_map
from streams.capture.select import TEXT_PROTOCOL, reader_of, select_after
from streams.capture.snapshot import binlog_end, executed
from streams.describe import collations_of, tables_of
from streams.mysql import MysqlUrl, session

Case = tuple[str, list[tuple[str, Value]]]
Derived = tuple[str, Callable[[int], Value]]
DATABASE = "every_type"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def case(type_: str, *values: tuple[str, Value]) -> tuple[str, list[tuple[str, Value]]]:
    """A column's declaration, and pairs of (what is inserted, as SQL; what stands in the envelope)."""
    return type_, [*values, ("NULL", None)]


def wkb(text: str, srid: int = 0) -> str:
    """A geometry as MySQL stores it, base64: SRID, then little-endian WKB. No spaces but inside pairs in ``text``."""
    data, rest = _wkb(text)
    assert rest == ""
    return b64(struct.pack("<I", srid) + data)


_WKB_TYPES = (
    *("POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION"),
)


def _wkb(text: str) -> tuple[bytes, str]:
    name, _, rest = text.partition("(")
    body, rest = _inside(name, rest)
    return struct.pack("<BI", 1, _WKB_TYPES.index(name) + 1) + body, rest


_PARTS = {"POLYGON": "", "MULTIPOINT": "POINT", "MULTILINESTRING": "LINESTRING", "MULTIPOLYGON": "POLYGON"}


def _inside(name: str, text: str) -> tuple[bytes, str]:
    """The body of what stands in brackets, and the text behind them."""
    parts: list[bytes] = []
    while True:
        if name == "GEOMETRYCOLLECTION":
            part, text = _wkb(text)
        elif name in _PARTS and text[0] == "(":
            part, text = _inside(_PARTS[name] or "LINESTRING", text[1:])
            kind = _PARTS[name]
            part = struct.pack("<BI", 1, _WKB_TYPES.index(kind) + 1) + part if kind else part
        else:
            pair, sign, text = re.split(r"([,)])", text, maxsplit=1)
            part, text = struct.pack("<2d", *map(float, pair.split())), sign + text
            if name == "MULTIPOINT":
                part = struct.pack("<BI", 1, 1) + part
        parts.append(part)
        sign, text = text[0], text[1:]
        if sign == ")":
            return (b"" if name == "POINT" else struct.pack("<I", len(parts))) + b"".join(parts), text


def same(type_: str, *literals: str) -> tuple[str, list[tuple[str, Value]]]:
    """Integers, which stand in the envelope as they are written in SQL."""
    return case(type_, *((literal, int(literal)) for literal in literals))


def json_case(*values: tuple[str, str]) -> tuple[str, list[tuple[str, Value]]]:
    return case("json", *values)


ZEROS = "0000-00-00"
EVERY: dict[str, tuple[str, list[tuple[str, Value]]]] = {
    "tiny": same("tinyint", "-128", "127", "0"),
    "tiny_u": same("tinyint unsigned", "255"),
    "tiny_bool": same("tinyint(1)", "1", "-1"),
    "small": same("smallint", "-32768", "32767"),
    "small_u": same("smallint unsigned", "65535"),
    "medium": same("mediumint", "-8388608", "8388607", "-1"),
    "medium_u": same("mediumint unsigned", "16777215", "8388608"),
    "whole": same("int", "-2147483648", "2147483647"),
    "whole_u": same("int unsigned", "4294967295"),
    "whole_zerofill": same("int(8) unsigned zerofill", "7"),
    "big": same("bigint", "-9223372036854775808", "9223372036854775807"),
    "big_u": same("bigint unsigned", "18446744073709551615"),
    "dec_wide": case(
        "decimal(65,30)",
        ("99999999999999999999999999999999999.999999999999999999999999999999",) * 2,
        ("-99999999999999999999999999999999999.999999999999999999999999999999",) * 2,
        ("0", "0." + "0" * 30),
        ("-1e-30", "-0." + "0" * 29 + "1"),
    ),
    "dec_whole": case("decimal(65,0)", ("-" + "9" * 65, "-" + "9" * 65), ("0", "0")),
    "dec_part": case("decimal(30,30)", ("0." + "9" * 30,) * 2),
    "dec_u": case("decimal(10,2) unsigned", ("99999999.99", "99999999.99"), ("1.5", "1.50")),
    "single": case(
        "float",
        ("0.1", 0.10000000149011612),
        ("-3.402823466e38", -3.4028234663852886e38),
        ("16777217", 16777216.0),
        ("1e-45", 1.401298464324817e-45),
    ),
    "single_m": case("float(7,3)", ("1.25", 1.25)),
    "twice": case(
        "double",
        ("0.1", 0.1),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("2.2250738585072014e-308", 2.2250738585072014e-308),
        ("1e22", 1e22),
        ("123456789012345680", 123456789012345680.0),
        ("-0e0", -0.0),
    ),
    "bit1": case("bit(1)", ("b'0'", False), ("b'1'", True)),
    "bit8": case("bit(8)", ("b'10000001'", b64(b"\x81"))),
    "bit10": case("bit(10)", ("b'1000000001'", b64(b"\x01\x02")), ("0", b64(b"\0\0"))),
    **{
        f"bit{bits}": case(
            f"bit({bits})", (f"{(1 << bits) - 1}", b64(((1 << bits) - 1).to_bytes((bits + 7) // 8, "little")))
        )
        for bits in (2, 7, 9, 16, 17, 24, 33, 40, 48, 57, 63)
    },
    "bit64": case("bit(64)", ("x'8000000000000001'", b64(b"\1\0\0\0\0\0\0\x80")), ("~0", b64(b"\xff" * 8))),
    "day": case("date", ("'1000-01-01'", "1000-01-01Z"), ("'9999-12-31'", "9999-12-31Z"), (f"'{ZEROS}'", f"{ZEROS}Z")),
    "day_partial": case("date", ("'2026-00-00'", "2026-00-00Z"), ("'0001-01-01'", "0001-01-01Z")),
    **{
        f"clock{digits}": case(
            f"time({digits})" if digits else "time",
            (f"'-838:59:58{'.5' if digits else ''}'", f"-838:59:58{('.5' + '0' * (digits - 1)) if digits else ''}Z"),
            ("'838:59:59'", f"838:59:59{'.' + '0' * digits if digits else ''}Z"),
            ("'-00:00:01'", f"-00:00:01{'.' + '0' * digits if digits else ''}Z"),
            ("'00:00:00'", f"00:00:00{'.' + '0' * digits if digits else ''}Z"),
            *(
                [
                    (f"'-00:00:00.{'9' * digits}'", f"-00:00:00.{'9' * digits}Z"),
                    (f"'-01:02:03.{'1' * digits}'", f"-01:02:03.{'1' * digits}Z"),
                    (f"'01:02:03.{'123456'[:digits]}'", f"01:02:03.{'123456'[:digits]}Z"),
                ]
                if digits
                else []
            ),
        )
        for digits in range(7)
    },
    **{
        f"at{digits}": case(
            f"datetime({digits})" if digits else "datetime",
            ("'1000-01-01 00:00:00'", f"1000-01-01T00:00:00{'.' + '0' * digits if digits else ''}Z"),
            (
                f"'9999-12-31 23:59:59{'.' + '9' * digits if digits else ''}'",
                f"9999-12-31T23:59:59{'.' + '9' * digits if digits else ''}Z",
            ),
            (f"'{ZEROS} 00:00:00'", f"{ZEROS}T00:00:00{'.' + '0' * digits if digits else ''}Z"),
            ("'2026-00-00 01:02:03'", f"2026-00-00T01:02:03{'.' + '0' * digits if digits else ''}Z"),
        )
        for digits in range(7)
    },
    **{
        f"stamp{digits}": case(
            (f"timestamp({digits})" if digits else "timestamp") + " NULL",
            ("'1970-01-01 00:00:01'", f"1970-01-01T00:00:01{'.' + '0' * digits if digits else ''}Z"),
            (
                f"'2038-01-19 03:14:07{'.' + '9' * digits if digits else ''}'",
                f"2038-01-19T03:14:07{'.' + '9' * digits if digits else ''}Z",
            ),
            ("'2026-02-28 23:59:59+14:00'", f"2026-02-28T09:59:59{'.' + '0' * digits if digits else ''}Z"),
            (f"'{ZEROS} 00:00:00'", f"{ZEROS}T00:00:00{'.' + '0' * digits if digits else ''}Z"),
        )
        for digits in range(7)
    },
    "born": case("year", ("1901", 1901), ("2155", 2155), ("'0000'", 0)),
    "signed_after_year": same("int", "-1"),
    "unsigned_after_year": same("int unsigned", "4294967295"),
    "fixed_text": case("char(5)", ("'ab'", "ab"), ("'ab  '", "ab"), ("'文😀'", "文😀"), ("''", "")),
    "fixed_exact": case("char(5) collate utf8mb4_bin", ("'Ab '", "Ab"), ("'aB'", "aB")),
    "fixed_wide": case("char(255)", ("REPEAT('😀', 255)", "😀" * 255)),
    "name": case("varchar(63)", ("'ab  '", "ab  "), ("'Zürich 北京 😀'", "Zürich 北京 😀"), ("''", "")),
    "name_long": case("varchar(300)", ("REPEAT('é', 300)", "é" * 300)),
    "latin": case(
        "varchar(50) character set latin1", ("'é€'", "é€"), ("_latin1 x'818d8f909d'", "\x81\x8d\x8f\x90\x9d")
    ),
    "latin_fixed": case("char(5) character set latin1", ("'é'", "é")),
    "chinese": case("varchar(50) character set gbk", ("'北京'", "北京")),
    "chinese_new": case("varchar(50) character set gb18030", ("'北😀'", "北😀")),
    "wide": case("varchar(50) character set utf16", ("'a北😀'", "a北😀")),
    "wider": case("varchar(50) character set utf32", ("'a北😀'", "a北😀")),
    "ucs": case("varchar(50) character set ucs2", ("'a北'", "a北")),
    "three": case("varchar(50) character set utf8mb3", ("'北'", "北")),
    "plain": case("varchar(50) character set ascii", ("'a'", "a")),
    "greek": case("varchar(50) character set greek", ("'Ωμέγα'", "Ωμέγα")),
    "hebrew": case("varchar(50) character set hebrew", ("'שלום'", "שלום")),
    "thai": case("varchar(50) character set tis620", ("'กา'", "กา")),
    "arabic": case("varchar(50) character set cp1256", ("'سلام'", "سلام")),
    "baltic": case("varchar(50) character set cp1257", ("'ąž'", "ąž")),
    "central": case("varchar(50) character set latin2", ("'čž'", "čž")),
    "central_dos": case("varchar(50) character set cp852", ("'čž'", "čž")),
    "dos": case("varchar(50) character set cp850", ("'éß'", "éß")),
    "russian": case("varchar(50) character set koi8r", ("'Жук'", "Жук")),
    "ukrainian": case("varchar(50) character set koi8u", ("'їжак'", "їжак")),
    "russian_dos": case("varchar(50) character set cp866", ("'Жук'", "Жук")),
    "turkish": case("varchar(50) character set latin5", ("'ğı'", "ğı")),
    "nordic": case("varchar(50) character set latin7", ("'ąö'", "ąö")),
    "mac": case("varchar(50) character set macroman", ("'é'", "é")),
    "taiwanese": case("varchar(50) character set big5", ("'中文'", "中文")),
    "simplified": case("varchar(50) character set gb2312", ("'北京'", "北京")),
    "korean": case("varchar(50) character set euckr", ("'한국'", "한국")),
    "japanese_unix": case("varchar(50) character set ujis", ("'日本'", "日本")),
    "japanese_windows": case("varchar(50) character set cp932", ("'日本'", "日本")),
    "little": case("varchar(50) character set utf16le", ("'a北😀'", "a北😀")),
    "exact": case("varchar(50) collate utf8mb4_bin", ("'Ab '", "Ab "), ("'aB'", "aB")),
    "cyrillic": case("text character set cp1251", ("'Жук'", "Жук")),
    "japanese": case("text character set sjis", ("'日本'", "日本")),
    "fixed_bytes": case("binary(5)", ("x'6100'", b64(b"a\0\0\0\0")), ("x''", b64(bytes(5))), ("x'ff'", "/wAAAAA=")),
    "bytes_": case("varbinary(300)", ("x'00ff00'", b64(b"\0\xff\0")), ("x''", "")),
    "blob1": case("tinyblob", ("x'00ff'", b64(b"\0\xff")), ("REPEAT('a', 255)", b64(b"a" * 255))),
    "blob2": case("blob", ("REPEAT('a', 65535)", b64(b"a" * 65535)), ("''", "")),
    "blob3": case("mediumblob", ("REPEAT('a', 70000)", b64(b"a" * 70000))),
    "blob4": case("longblob", ("x'00'", b64(b"\0"))),
    "text1": case("tinytext", ("'é'", "é"), ("''", "")),
    "text2": case("text", ("REPEAT('文', 20000)", "文" * 20000)),
    "text3": case("mediumtext", ("REPEAT('a', 70000)", "a" * 70000)),
    "text4": case("longtext character set latin1", ("'é'", "é")),
    "level": case(
        "enum('junior','it''s','高级')", ("'junior'", "junior"), ("'it''s'", "it's"), ("'高级'", "高级"), ("0", "")
    ),
    "level_many": case(
        "enum(" + ",".join(f"'m{n}'" for n in range(300)) + ")", ("'m299'", "m299"), ("'m255'", "m255"), ("1", "m0")
    ),
    "level_latin": case("enum('é','b') character set latin1", ("'é'", "é")),
    "tags": case("set('a','b c','é')", ("''", ""), ("'a'", "a"), ("'é,a'", "a,é"), ("7", "a,b c,é")),
    "tags_many": case("set(" + ",".join(f"'m{n}'" for n in range(64)) + ")", ("'m63,m0'", "m0,m63"), ("'m8'", "m8")),
    "doc": json_case(
        ("'null'", "null"),
        ("'true'", "true"),
        ("'[]'", "[]"),
        ("'{}'", "{}"),
        ("'0'", "0"),
        ("'-1'", "-1"),
        ("'65535'", "65535"),
        ("'-2147483649'", "-2147483649"),
        ("'18446744073709551615'", "18446744073709551615"),
        ("'1.0'", "1.0"),
        ("'1e15'", "1000000000000000.0"),
        ("'1e16'", "1e16"),
        ("'123456789012345680.0'", "1.2345678901234568e17"),
        ("'0.00001'", "1e-05"),
        ("'0.0001'", "0.0001"),
        ("'1.7976931348623157e308'", "1.7976931348623157e308"),
        ("'5e-324'", "5e-324"),
        ("'-0.0'", "-0.0"),
        ("'\"\"'", '""'),
        (r"""'"a\\"b\\\\c\\n\\u0001é文😀/"'""", r'"a\"b\\c\n\u0001é文😀/"'),
        ('\'{"bb": 1, "a": {"é": [1, [2, []]]}}\'', '{"a":{"é":[1,[2,[]]]},"bb":1}'),
        ("JSON_ARRAY(1.50, CAST(7 AS DECIMAL(5,0)), -0.00)", "[1.50,7,0.00]"),
        ("JSON_ARRAY(12345678901234567890123456789.50)", "[1.23456789012345678901234567895e28]"),
        ("JSON_ARRAY(DATE'2026-01-02', TIME'-01:02:03.5')", '["2026-01-02","-01:02:03.500000"]'),
        ("JSON_ARRAY(TIMESTAMP'2026-01-02 03:04:05.000006')", '["2026-01-02 03:04:05.000006"]'),
        ("JSON_ARRAY(x'00ff', b'101')", '["base64:type15:AP8=","base64:type15:BQ=="]'),
        ("CAST(CAST(x'00ff' AS BINARY(4)) AS JSON)", '"base64:type15:AP8AAA=="'),
        ("JSON_ARRAY(CAST('2026' AS YEAR), TRUE, NULL)", "[2026,true,null]"),
        ("JSON_OBJECT('long', REPEAT('x', 70000))", '{"long":"' + "x" * 70000 + '"}'),
        ("JSON_OBJECT(REPEAT('k', 300), 1)", '{"' + "k" * 300 + '":1}'),
    ),
    "vec": case("vector(3)", ("STRING_TO_VECTOR('[1,-2,0.5]')", b64(bytes.fromhex("0000803f000000c00000003f")))),
    "place": case("point", ("POINT(1, 2)", b64(bytes.fromhex("000000000101000000000000000000f03f0000000000000040")))),
    **{
        kind: case(kind, (f"ST_GeomFromText('{text}')", wkb(text)))
        for kind, text in {
            "linestring": "LINESTRING(0 0,1 2)",
            "polygon": "POLYGON((0 0,4 0,4 4,0 0))",
            "multipoint": "MULTIPOINT(0 0,1 1)",
            "multilinestring": "MULTILINESTRING((0 0,1 1),(2 2,3 3))",
            "multipolygon": "MULTIPOLYGON(((0 0,4 0,4 4,0 0)))",
            "geometrycollection": "GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 2))",
            "geometry": "POINT(1 2)",
        }.items()
    },
    "earth": case("geometry", ("ST_GeomFromText('POINT(1 2)', 4326)", wkb("POINT(2 1)", 4326))),
    "hidden": case("int invisible", ("7", 7)),
    "last": case("varchar(10)", ("'é'", "é")),
}
DERIVED: dict[str, tuple[str, Callable[[int], Value]]] = {
    "stored": ("int as (id * 2) stored", lambda id_: id_ * 2),
    "virtual_": ("varchar(20) as (concat('n', id)) virtual", lambda id_: f"n{id_}"),
}
_NOT_ON_MARIADB = {"chinese_new", "doc", "vec", "earth"}
_OTHERWISE_ON_MARIADB = {
    name: (type_, [pair for pair in values if "+14:00" not in pair[0]])
    for name, (type_, values) in EVERY.items()
    if name.startswith("stamp")
}
EVERY_ON_MARIADB: dict[str, Case] = {
    **{name: cell for name, cell in EVERY.items() if name not in _NOT_ON_MARIADB},
    **_OTHERWISE_ON_MARIADB,
    "doc": case("json", ('\'{"b": 1,  "a": [1.50, "é"]}\'', '{"b": 1,  "a": [1.50, "é"]}'), ("'null'", "null")),
    "earth": case("geometry", ("ST_GeomFromText('POINT(1 2)', 4326)", wkb("POINT(1 2)", 4326))),
    "twice": case("double", *(pair for pair in EVERY["twice"][1] if pair[0] not in {"-0e0", "NULL"})),
}
"""JSON is text there, as it was written; axes stand as they are told, and no literal is -0.0."""


@dataclass(frozen=True)
class Read:
    """The table as its SELECT, the readers of its binlog, and the written table give it."""

    selected: list[dict[str, Value]]
    logged: list[dict[str, Value]]
    world: World
    raw: bytes
    expected: list[dict[str, Value]]
    described: TableSchema
    mapped: TableSchema


def read(
    root: MysqlUrl, every: Mapping[str, Case], derived: Mapping[str, Derived], *, mariadb: bool, zone: str = "+00:00"
) -> Read:
    """Insert every value of the table ``every`` in the time zone ``zone``, and read them back all ways."""
    count = max(len(values) for _, values in every.values())
    with session(root, conv=TEXT_PROTOCOL) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        columns = [f"`{name}` {type_}" for name, (type_, _) in every.items()]
        columns += [f"`{name}` {type_}" for name, (type_, _) in derived.items()]
        cursor.execute(f"CREATE TABLE {DATABASE}.t (id INT PRIMARY KEY, {', '.join(columns)})")
        start = executed(connection, mariadb=mariadb)
        cursor.execute("SET sql_mode = '', time_zone = %s", (zone,))
        names = ", ".join(f"`{name}`" for name in ("id", *every))
        for number in range(count):
            literals = [_nth(values, number)[0] for _, values in every.values()]
            cursor.execute(f"INSERT INTO {DATABASE}.t ({names}) VALUES ({number}, {', '.join(literals)})")
        cursor.execute("SET time_zone = '+00:00'")
        described = tables_of(connection, DATABASE, ["t"])["t"][0]
        sql, arguments = select_after(described, ("id",), None, None)
        cursor.execute(sql, arguments)
        readers = [(column.name, reader_of(column)) for column in described.columns]
        selected = [
            {name: None if value is None else to(value) for (name, to), value in zip(readers, row, strict=True)}
            for row in cursor.fetchall()
        ]
        raw = sent(root, start.copy(), *binlog_end(cursor))
        world = World(topology(DATABASE, "t"), collations_of(connection), start)
        mapped, logged = _from_binlog(raw, world)
        cursor.execute(f"DROP DATABASE {DATABASE}")
    expected = [_expected(number, every, derived) for number in range(count)]
    return Read(selected, logged, world, raw, expected, described, mapped.schema)


def _nth(values: list[tuple[str, Value]], number: int) -> tuple[str, Value]:
    return values[number % len(values)]


def _expected(number: int, every: Mapping[str, Case], derived: Mapping[str, Derived]) -> dict[str, Value]:
    row: dict[str, Value] = {"id": number}
    row |= {name: _nth(values, number)[1] for name, (_, values) in every.items()}
    return row | {name: make(number) for name, (_, make) in derived.items()}


def _from_binlog(raw: bytes, world: World) -> tuple[TableMap, list[dict[str, Value]]]:
    found: list[dict[str, Value]] = []
    for packet in Packets().feed(raw):
        data = events.without_checksum(packet[1:])
        head = events.header(data)
        if head.type == events.TABLE_MAP:
            table = parse_table_map(data, events.HEADER, world.collations)
        elif head.type in events.ROWS:
            found += [after or {} for _, after in events.rows(data, head.type, table)]
    return table, found


def differing(rows: list[dict[str, Value]], expected: list[dict[str, Value]]) -> dict[str, list[tuple[Value, Value]]]:
    """By column, what is there and what should be; ``repr`` tells 1 from True and -0.0 from 0.0."""
    found: dict[str, list[tuple[Value, Value]]] = {}
    for row, wanted in zip(rows, expected, strict=True):
        assert list(row) == list(wanted)
        for name, value in wanted.items():
            if repr(row[name]) != repr(value):
                found.setdefault(name, []).append((row[name], value))
    return found
