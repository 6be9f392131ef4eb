"""From a model's answer to a typed result, with one attempt to repair what is nearly JSON. Pure."""

import json
import re
from typing import Any, TypeVar

from pydantic import ValidationError

from enrichers.analysis.kind import Analysis

A = TypeVar("A", bound=Analysis)

_THOUGHTS = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_OUTSIDE = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[^"]+', re.DOTALL)
_WORDS = {"True": "true", "False": "false", "None": "null", "NaN": "null"}
_BARE = re.compile(r"\b(?:True|False|None|NaN)\b")
_COMMA = re.compile(r",(\s*[}\]])")
_CLOSING = {"{": "}", "[": "]"}


def parse(text: str, result: type[A]) -> A:
    """The result that ``text`` holds, whatever stands around it. Raises `ValueError` where it holds none."""
    start = _THOUGHTS.sub("", text).partition("{")
    if not start[1]:
        raise ValueError("the answer holds no JSON object")
    body = "{" + start[2]
    try:
        value = _first(body)
    except ValueError:
        value = _first(repaired(body))
    try:
        return result.model_validate(value)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ValueError(f"{problem['msg']} (in {'.'.join(map(str, problem['loc']))})") from None


def _first(text: str) -> Any:
    """The JSON value that ``text`` begins with."""
    try:
        value, _ = json.JSONDecoder(strict=False, parse_constant=_refuse).raw_decode(text)
    except RecursionError:
        raise ValueError("the answer is nested too deep") from None
    return value


def _refuse(name: str) -> Any:
    raise ValueError(f"`{name}` is no JSON number")


def repaired(text: str) -> str:
    """``text``, which begins with a brace, with what models get wrong put right: Python's words for JSON's, a comma
    too many, and an end that was cut off, with whatever it was in the middle of."""
    parts = [part if part.startswith('"') else _plain(part) for part in _OUTSIDE.findall(text)]
    return _closed("".join(parts))


def _plain(part: str) -> str:
    return _COMMA.sub(r"\1", _BARE.sub(lambda found: _WORDS[found.group()], part))


def _closed(text: str) -> str:
    """The object that ``text`` begins with, cut after its last whole member where it has no end."""
    still_open: list[str] = []  # changes only where ``whole`` does, so it fits what is cut there
    in_string = escaped = False
    whole = 0
    for index, character in enumerate(text):
        if in_string:
            in_string = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            in_string = True
        elif character in _CLOSING:
            still_open.append(character)
            whole = index + 1
        elif character in "}]":
            if not still_open or _CLOSING[still_open[-1]] != character:
                break
            still_open.pop()
            whole = index + 1
            if not still_open:
                return text[:whole]
        elif character == ",":
            whole = index
    return text[:whole] + "".join(_CLOSING[character] for character in reversed(still_open))
