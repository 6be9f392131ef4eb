"""JSON text taken apart and put together again without a number passing through a float by accident."""

import json
from collections.abc import Callable
from typing import Any


class Number(str):
    """A JSON number as its text."""

    __slots__ = ()


def parse(text: str | bytes, *, integer: Callable[[str], str] = str, double: Callable[[str], str] = str) -> Any:
    """The value of ``text``, numbers as `Number` after passing through ``integer`` or ``double``.

    Raises `ValueError` where ``text`` is not JSON (``NaN`` and ``Infinity`` are not).
    """
    return json.loads(
        text,
        parse_int=lambda number: Number(integer(number)),
        parse_float=lambda number: Number(double(number)),
        parse_constant=_refuse,
    )


def _refuse(name: str) -> Any:
    raise ValueError(f"`{name}` is no JSON number")


def write(value: Any, *, sort: bool = False) -> str:
    """The compact text of what `parse` returned; ``sort`` puts keys in order of their code points."""
    parts: list[str] = []
    _write(value, sort, parts.append)
    return "".join(parts)


quote: Callable[[str], str] = json.JSONEncoder(ensure_ascii=False).encode


def _write(value: Any, sort: bool, out: Callable[[str], object]) -> None:
    if isinstance(value, Number):
        out(value)
    elif isinstance(value, str):
        out(quote(value))
    elif isinstance(value, list):
        out("[")
        for index, item in enumerate(value):
            if index:
                out(",")
            _write(item, sort, out)
        out("]")
    elif isinstance(value, dict):
        out("{")
        for index, (name, item) in enumerate(sorted(value.items()) if sort else value.items()):
            out(f",{quote(name)}:" if index else f"{quote(name)}:")
            _write(item, sort, out)
        out("}")
    else:
        out(_LITERALS[value])


_LITERALS = {None: "null", True: "true", False: "false"}
