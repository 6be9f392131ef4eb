"""What is read of a row, and the key under which what was made of it is remembered."""

import json
from typing import Any

import xxhash
from hypothesis import given
from hypothesis import strategies as st

from changes.canonical import Value
from enrichers.contract import Input, Output, decode_output, encode_output
from enrichers.inputs import cache_key, read, texts_of

values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)
rows = st.dictionaries(st.sampled_from("abcd"), values)


def test_the_bytes_and_the_hash_of_an_input_are_frozen() -> None:
    row: dict[str, Value] = {
        "title": '数据 "x"',
        "id": 7,
        "note": None,
        "remote": True,
        "pay": "1.50",
        "other": "not read",
    }
    found = read(["title", "remote", "note", "pay", "absent"], row)
    assert found.canonical == '{"pay":"1.50","remote":true,"title":"数据 \\"x\\""}'.encode()
    assert found.hash == "5c27dbcfe4a310cb"


@given(rows, rows)
def test_only_what_is_declared_is_read(row: dict[str, Any], secret: dict[str, Any]) -> None:
    declared, hidden = ["a", "b"], {name: value for name, value in secret.items() if name in "cd"}
    shown = {name: value for name, value in row.items() if name in declared}
    assert read(declared, {**shown, **hidden}) == read(declared, shown)


@given(rows)
def test_null_is_as_absent_and_order_means_nothing(row: dict[str, Any]) -> None:
    given_ = {name: value for name, value in reversed(row.items()) if value is not None}
    found = read("dcba", row)
    assert found == read("abcd", given_)
    assert found.hash == xxhash.xxh64_hexdigest(found.canonical, seed=0)
    assert json.loads(found.canonical) == given_


def test_half_a_surrogate_pair_is_no_reason_to_stop() -> None:
    assert texts_of(read(["a"], {"a": "x\ud800y"})) == {"a": "x?y"}


def test_texts_are_trimmed_and_empty_ones_left_out() -> None:
    row: dict[str, Value] = {"a": " x ", "b": "  ", "c": 7, "d": 0.5, "e": b"\1"}
    assert texts_of(read(row, row)) == {"a": "x", "c": "7", "d": "0.5", "e": "AQ=="}


one = Input(b'{"a":1}', "0" * 16)
parts = st.tuples(
    st.sampled_from(["job", "job:x"]),
    st.sampled_from(["future", "future:job"]),
    st.binary(max_size=3),
    st.integers(1, 3),
)


@given(parts, parts)
def test_keys_are_equal_exactly_where_everything_is(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    def key(kind: str, version: str, canonical: bytes, prompt: int) -> str:
        return cache_key(kind, version, Input(canonical, ""), {"prompt": prompt})

    assert (key(*one) == key(*other)) == (one == other)


def test_a_key_is_frozen() -> None:
    assert cache_key("job", "future", one, {"b": 1, "a": [2]}) == (
        "future:job:44e5f9fe4a6f472c799d73ef0af106bb592c831cc0cc1009d81ff4fc2d386662"
    )


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)), st.none() | st.text())
def test_an_output_is_the_same_after_the_cache(vector: list[float], text: str | None) -> None:
    output = Output({"v": vector, "t": text, "n": 1, "d": 0.5}, "p", "m", 3, 1, True, 5, 0.25, 1.5)
    assert decode_output(encode_output(output)) == output
