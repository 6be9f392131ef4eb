"""The script that writes rows, its arguments and its answer, and the text of stamps and values: no I/O.

A row's *stamp* is the text under its position key ``_tr:<place>``::

    00001   0000000000000123456 0f1e2d3c4b5a6978 512 1073741823 +        (the first two without a space)
    generation  position        row hash         bucket mapping  + alive, - deleted

Generation and position are compared as text of 24 digits: Redis's Lua holds numbers as doubles, which cannot hold
them. Stamps from before there were generations begin with the position's 19 digits; their generation is 0.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import msgspec

from changes.canonical import Value
from changes.errors import Rejected
from changes.position import TEXT_WIDTH, from_text, to_text
from changes.record import APPLIED, STALE, Outcome, Record, rejected
from changes.target import Target
from sinks.redis.place import STAMP_PREFIX

PORTION = 250
"""Records of one script call: a server answers nobody else while it runs, for some 2 ms."""

LONGEST = 512 * 1024 * 1024
"""Bytes of a Redis string; a longer one breaks the connection."""

SCRIPT = """
-- KEYS: a value's key and its stamp's, for each record.
-- ARGV: the stamp, the value, the lifetimes of value and stamp in ms (0 for none), and the position that is written
-- over ('' for none), for each record.
-- A stamp's first 24 characters are its generation and position; before there were generations, 19.
local function order(stamp)
  if string.sub(stamp, 20, 20) == ' ' then return '00000' .. string.sub(stamp, 1, 19) end
  return string.sub(stamp, 1, 24)
end
-- Answers a letter for each record (a applied, s stale, r rejected), then the reason of each r.
local letters, answer = {}, {''}
for i = 1, #KEYS, 2 do
  local value, stamp = KEYS[i], KEYS[i + 1]
  local a = (i - 1) / 2 * 5 + 1
  local new, body, value_for, stamp_for, over = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
  -- A key that holds no string is not ours; SET would replace it without a word.
  local foreign = redis.pcall('STRLEN', value)
  local old = redis.pcall('GET', stamp)
  if type(foreign) == 'table' or type(old) == 'table' then
    letters[#letters + 1] = 'r'
    answer[#answer + 1] = type(foreign) == 'table' and foreign.err or old.err
  elseif old and order(old) > order(new) and string.sub(order(old), 6) ~= over then
    letters[#letters + 1] = 's'
  else
    -- The stamp first: where memory is short the first write fails, and nothing has been done.
    if stamp_for == '0' then redis.call('SET', stamp, new) else redis.call('SET', stamp, new, 'PX', stamp_for) end
    if string.sub(new, -1) == '-' then
      redis.call('DEL', value)
    elseif value_for == '0' then
      redis.call('SET', value, body)
    else
      redis.call('SET', value, body, 'PX', value_for)
    end
    letters[#letters + 1] = 'a'
  end
end
answer[1] = table.concat(letters)
return answer
"""

LOOK = """
-- KEYS: a value's key and its stamp's, for each row.
-- Answers for each its stamp, if it has one, and 1 if it has a value: both as they are at one moment.
local answer = {}
for i = 1, #KEYS, 2 do
  answer[i] = redis.call('GET', KEYS[i + 1])
  answer[i + 1] = redis.call('EXISTS', KEYS[i])
end
return answer
"""

LEFT = """
-- KEYS: values' keys. Answers for each how many ms it has left to live; -1: it stays, -2: it is not there.
local answer = {}
for i = 1, #KEYS do answer[i] = redis.call('PTTL', KEYS[i]) end
return answer
"""

LIFETIME = "(lifetime)"
"""What is told to be wrong with a row that has another lifetime than its target declares."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode

_GENERATION_WIDTH = 5


class Stamp(NamedTuple):
    generation: int
    position: int
    hash: int
    bucket: int
    mapping: int
    alive: bool


NO_STAMP = Stamp(0, 0, 0, -1, 0, True)


def stamp_key(place: str) -> str:
    return STAMP_PREFIX + place


def stamp_text(record: Record) -> str:
    alive = "-" if record.row is None else "+"
    order = f"{record.generation:0{_GENERATION_WIDTH}d}{to_text(record.position)}"
    return f"{order} {record.hash:016x} {record.key.bucket} {record.target.mapping} {alive}"


def stamp_from(text: bytes | None) -> Stamp:
    """`NO_STAMP` where there is none, or something else in its place."""
    try:
        order, hash_, bucket, mapping, alive = (text or b"").split(b" ")
        generation, position = order[:-TEXT_WIDTH], order[-TEXT_WIDTH:]
        return Stamp(
            int(generation or b"0"),
            from_text(position),
            int(hash_, 16),
            int(bucket),
            int(mapping),
            alive == b"+",
        )
    except ValueError:
        return NO_STAMP


def value_text(row: Mapping[str, Value]) -> bytes:
    """A row as applications read it: JSON, in the envelope's value forms, decimals as strings.

    Raises `Rejected` where that is no text or too long.
    """
    try:
        text = msgspec.json.encode(row)
    except UnicodeEncodeError as error:
        raise Rejected(f"Redis: the row is no Unicode text: {error}") from error
    if len(text) > LONGEST:
        raise Rejected(f"Redis: the row has {len(text)} bytes, more than the {LONGEST} of a string")
    return text


def row_from(columns: Set[str], text: bytes) -> dict[str, Value] | None:
    """The columns of a stored value, NULL where it has none of that name; ``None`` where it is no row's JSON."""
    try:
        found = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if found.keys() == columns else {name: found.get(name) for name in columns}


def lifetimes(target: Target, *, alive: bool, lived: int = 0) -> tuple[int, int]:
    """Of a value and of its stamp, in milliseconds; 0 for none. Of the value's, ``lived`` seconds are over.

    A stamp outlives whatever could bring an older change of its row: of a deleted row, and of a cached one, whose
    value may go before it. A value that has expired is written all the same, and is gone at once: it replaces an older
    one.
    """
    keep = (target.keep_for or 0) if target.keep == "cache" else 0
    if alive and not keep:
        return 0, 0
    return max((keep - lived) * 1000, 1) if keep else 0, max(target.tombstones_for, keep) * 1000


def lives_right(given: int, left: int) -> bool:
    """Whether a value with so many ms left, by `LEFT`, has the lifetime ``given`` that it was written with, see
    `lifetimes`."""
    return 0 <= left <= given if given else left == -1


def arguments(records: Sequence[Record]) -> tuple[list[str], list[str | bytes | int]]:
    """``KEYS`` and ``ARGV`` of the script. Raises `Rejected` like `value_text`."""
    keys: list[str] = []
    values: list[str | bytes | int] = []
    for record in records:
        alive = record.row is not None
        keys += (record.place, stamp_key(record.place))
        body = b"" if record.row is None else value_text(record.row)
        over = to_text(record.over) if record.over >= 0 else ""
        values += (stamp_text(record), body, *lifetimes(record.target, alive=alive, lived=record.lived), over)
    return keys, values


def outcomes(answer: Sequence[bytes]) -> list[Outcome]:
    """The script's answer."""
    reasons = iter(answer[1:])
    return [
        APPLIED if letter == "a" else STALE if letter == "s" else rejected(next(reasons).decode(errors="replace"))
        for letter in answer[0].decode()
    ]
