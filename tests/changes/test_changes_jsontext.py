"""JSON text taken apart and put together, numbers as they stood."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changes import jsontext

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(values)
def test_compact_text_comes_back_unchanged(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert jsontext.write(jsontext.parse(text)) == text


@given(values)
def test_sorted_text_is_the_same_value_with_keys_in_order(value: Any) -> None:
    text = jsontext.write(jsontext.parse(json.dumps(value)), sort=True)
    assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


@pytest.mark.parametrize(
    "number", ["0.10", "1e5", "1E+5", "-0.0", "123456789012345678901234567890", "0.1234567890123456789012345", "1e400"]
)
def test_a_number_keeps_its_spelling(number: str) -> None:
    assert jsontext.write(jsontext.parse(f"[{number}]")) == f"[{number}]"


def test_integers_and_doubles_pass_through_their_own_rule() -> None:
    parsed = jsontext.parse("[1, 2.5, -3, 1e2]", integer=lambda text: f"{text}i", double=lambda text: f"{text}d")
    assert jsontext.write(parsed) == "[1i,2.5d,-3i,1e2d]"


def test_text_that_looks_like_a_number_stays_text() -> None:
    assert jsontext.write(jsontext.parse('{"1":"2"}')) == '{"1":"2"}'


@pytest.mark.parametrize("text", ["", "{", "[1,]", "NaN", "[Infinity]", "-Infinity", "'a'", "1 2"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        jsontext.parse(text)


spelt = st.sampled_from([
    "0", "-0", "7", "-31", "1.0", "1e2", "-2E+3", "12345678901234567", "123456789012345678", "1" * 40, "0.10", "-0.0",
])  # fmt: skip
texts = st.recursive(
    spelt
    | st.sampled_from(["null", "true", "false"])
    | st.text().map(lambda text: json.dumps(text, ensure_ascii=False)),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[ {' , '.join(items)} ]")
        | st.lists(st.tuples(st.text(max_size=2).map(json.dumps), inner), max_size=3).map(
            lambda items: "{" + ",".join(f"{name} :\t{value}" for name, value in items) + "}"
        )
    ),
    max_leaves=8,
)


@given(texts, st.booleans())
def test_the_fast_way_writes_what_the_slow_one_does_or_leaves_it_alone(text: str, sort: bool) -> None:
    slow = jsontext.write(jsontext.parse(text), sort=sort)
    assert jsontext.rewritten(text, sort=sort) in {slow, None}
    assert jsontext.rewritten(text, sort=sort, numbers=False) in {slow, None}


@pytest.mark.parametrize("text", ["", "{", "[1,]", "NaN", "01", "\ufeff1", '"a\nb"', '"\\x"', "tru", "1 2", "\ud800"])
def test_the_fast_way_leaves_alone_what_is_no_json(text: str) -> None:
    assert jsontext.rewritten(text) is None


def test_the_fast_way_is_taken_where_numbers_are_simple() -> None:
    assert jsontext.rewritten('{"b": [7, -31], "a": "2.5"}', sort=True) == '{"a":"2.5","b":[7,-31]}'
    assert jsontext.rewritten('{"b": [true, null], "a": "é\\n"}', numbers=False) == '{"b":[true,null],"a":"é\\n"}'
    assert jsontext.rewritten('{"b": 7}', numbers=False) is None
