"""Partial JSON updates: what MySQL tells of a change, applied to the value before, is the value after."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams_encoders import INSERT, REMOVE, REPLACE, binary_json, json_difference, json_path
from test_streams_jsonb import values

from streams.binlog.jsonb import json_text
from streams.binlog.jsondiff import patched


def stored_order(value: Any) -> Any:
    """``value`` with its members as MySQL keeps them: shorter names first, then by their bytes."""
    if isinstance(value, dict):
        return {
            name: stored_order(value[name]) for name in sorted(value, key=lambda it: (len(it.encode()), it.encode()))
        }
    return [stored_order(item) for item in value] if isinstance(value, list) else value


def places(value: Any, legs: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of everything in ``value``, itself first."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [legs, *(path for leg, inner in entries for path in places(inner, (*legs, leg)))]


def at(value: Any, legs: tuple[str | int, ...]) -> Any:
    for leg in legs:
        value = value[leg]
    return value


@st.composite
def changes(draw: st.DrawFn) -> tuple[Any, bytes, Any]:
    """A container, differences that fit it, and what it is behind them."""
    before = draw(st.lists(values, max_size=5) | st.dictionaries(st.text(max_size=5), values, max_size=5))
    after, told = copy.deepcopy(before), b""
    for _ in range(draw(st.integers(0, 5))):
        value, found = stored_order(draw(values)), places(after)
        legs = draw(st.sampled_from(found))
        parent = at(after, legs)
        if isinstance(parent, list) and draw(st.booleans()):
            place = draw(st.integers(0, len(parent) + 2))
            told += json_difference(INSERT, json_path((*legs, place)), value)
            parent.insert(place, value)
        elif isinstance(parent, dict) and draw(st.booleans()):
            name = draw(st.text(max_size=5).filter(lambda name, parent=parent: name not in parent))
            told += json_difference(INSERT, json_path((*legs, name)), value)
            parent[name] = value
        elif legs:
            operation, container = draw(st.sampled_from([REPLACE, REMOVE])), at(after, legs[:-1])
            last = len(container) - 1 - legs[-1] if isinstance(legs[-1], int) and draw(st.booleans()) else None
            path = json_path(legs) if last is None else json_path(legs[:-1], last=last)
            told += json_difference(operation, path, value)
            if operation == REPLACE:
                container[legs[-1]] = value
            else:
                del container[legs[-1]]
    return stored_order(before), told, stored_order(after)


@given(changes(), st.booleans())
def test_the_value_after_is_the_value_before_with_its_changes(change: tuple[Any, bytes, Any], large: bool) -> None:
    before, told, after = change
    assert patched(binary_json(before, large=large), told) == json_text(binary_json(after))


def test_names_are_read_bare_and_quoted() -> None:
    before = binary_json({"a": {"b c": [1]}, 'é"': 2})
    told = json_difference(REPLACE, '$.a."b c"[last]', 7) + json_difference(REMOVE, r'$."\u00e9\""')
    assert patched(before, told) == '{"a":{"b c":[7]}}'


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        (REPLACE, "$.b"),
        (REPLACE, "$[0]"),
        (REPLACE, "$.a[2]"),
        (REPLACE, "$.a[last-2]"),
        (REPLACE, "$.a[0].x"),
        (REMOVE, "$.b"),
        (REMOVE, "$.a[2]"),
        (INSERT, "$.a"),
        (INSERT, "$[0]"),
        (INSERT, "$.a.b"),
        (3, "$.a"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(operation: int, path: str) -> None:
    with pytest.raises(ValueError, match=r"JSON difference|holds no others"):
        patched(binary_json({"a": [1, 2]}), json_difference(operation, path))


@pytest.mark.parametrize(
    "path", ["", "$", "a", "$.", "$.*", "$[*]", "$[-1]", "$[1 to 2]", "$**.a", '$."a', "$" + "[0]" * 129]
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|Unterminated"):
        patched(binary_json([[1]]), json_difference(REMOVE, path))


def test_differences_that_are_cut_off_are_refused() -> None:
    told = json_difference(REPLACE, "$[0]", "text")
    for size in range(1, len(told)):
        with pytest.raises(ValueError, match=r"cut off|layout|JSON"):
            patched(binary_json([1]), told[:size])
