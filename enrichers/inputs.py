"""From a row to what is read of it, and to the key under which what was made of it is remembered."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import xxhash

from changes.canonical import Value
from enrichers.contract import Input

CODE = 1
"""Raised when this package makes something else of the same input: what was cached before is then not found."""


def read(names: Iterable[str], row: Mapping[str, Value]) -> Input:
    """The columns ``names`` of ``row`` as canonical JSON: sorted by name, no spaces, NULL and absent ones left out.

    Values stand as the envelope holds them; bytes, which only a store returns, as base64.
    """
    values = {name: _plain(row[name]) for name in set(names) if row.get(name) is not None}
    text = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    # Half a surrogate pair is legal in MySQL's JSON and in no UTF-8.
    canonical = text.encode("utf-8", "replace")
    return Input(canonical, xxhash.xxh64_hexdigest(canonical, seed=0))


def _plain(value: Value) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def values_of(input: Input) -> dict[str, Any]:
    """The columns of an input by name."""
    found = json.loads(input.canonical)
    if not isinstance(found, dict):
        raise TypeError("an input is a JSON object")
    return found


def texts_of(input: Input) -> dict[str, str]:
    """The columns of an input as text; those without any are left out."""
    texts = {name: _text(value) for name, value in values_of(input).items()}
    return {name: text for name, text in texts.items() if text}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return json.dumps(value, ensure_ascii=False)


def tokens_of(text: str) -> int:
    """About how many tokens a text has: a token is some four letters of English, and a character of Chinese."""
    return -(-len(text.encode("utf-8", "replace")) // 3)


def cache_key(kind: str, version: str, input: Input, means: Mapping[str, object]) -> str:
    """``<version>:<kind>:<SHA-256>`` over the input and ``means``: prompt, model, parameters, weights.

    Not xxh64: the input is somebody's text, who could choose it so that it is taken for another's.
    """
    parts: list[str | bytes] = [version, kind, str(CODE), json.dumps(means, sort_keys=True), input.canonical]
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode()
        digest.update(b"%d:" % len(data) + data)
    return f"{version}:{kind}:{digest.hexdigest()}"
