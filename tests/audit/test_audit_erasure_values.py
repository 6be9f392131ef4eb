"""Which of a person's values are looked for, and that each is found in every form in which stores write it."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.erasure.values import LEAST, Person, forms, stretches
from audit.search.needle import needles_of
from audit.search.needles import Needles
from changes.schema import Column, Kind, TableSchema

SECRET = b"secret"
EMAIL = Column("email", Kind.TEXT, "varchar(255)")
BIO = Column("bio", Kind.TEXT, "text")
AVATAR = Column("avatar", Kind.BYTES, "blob")
ROLE = Column("role", Kind.TEXT, "enum('a person of great importance','b')")
ID = Column("id", Kind.INTEGER, "bigint")
SCHEMA = TableSchema("d", "users", (ID, EMAIL, BIO, AVATAR, ROLE), ("id",))


def person(**row: object) -> Person:
    found = Person()
    found.learn("users", SCHEMA, row, personal=["email"])  # type: ignore[arg-type]
    return found


def within(found: Person, data: bytes) -> set[str]:
    return {found.texts[index].what for index in Needles(SECRET, needles_of(SECRET, found.texts)).within(data)}


@given(st.text(min_size=30, max_size=200, alphabet=st.characters(exclude_categories=["Cs"])))
def test_every_stretch_stands_in_every_form_of_its_text(text: str) -> None:
    for written in (text, json.dumps(text, ensure_ascii=False), json.dumps(text), text.replace('"', '""')):
        data = written.encode()
        for group in forms(BIO, text, strict=False):
            assert any(form in data for form in group), written


def test_an_email_is_told_by_itself_and_a_text_by_its_stretches() -> None:
    found = person(id=7, email="wei.zhang4823@example.com", bio="Eight years of building payment systems, in Shenzhen")
    assert within(found, b'{"mail":"wei.zhang4823@example.com"}') == {"users.email"}
    assert within(found, "… Eight years of building payment systems …".encode()) == {"users.bio"}
    assert within(found, b"years of building") == set()


def test_what_is_short_or_a_number_or_one_of_a_few_words_is_told_by_nothing() -> None:
    found = person(id=123456789012, email="a@b.cn", bio="Short and sweet", role="a person of great importance")
    assert found.texts == []


@pytest.mark.parametrize("form", [bytes, lambda data: data.hex().encode(), base64.b64encode])
def test_bytes_are_found_as_they_are_in_hex_and_in_base64(form: object) -> None:
    data = bytes(range(200))
    found = person(id=7, avatar=base64.b64encode(data).decode())
    assert within(found, b"<" + form(data) + b">") == {"users.avatar"}  # type: ignore[operator]


@pytest.mark.parametrize("form", [bytes, lambda data: data.hex().encode(), base64.b64encode])
def test_bytes_that_begin_like_all_others_are_found_by_their_middle_and_end(form: object) -> None:
    picture = bytes(100) + bytes(range(0, 200, 2)) + b"\xff" * 100 + bytes(range(1, 101))
    found = person(id=7, avatar=base64.b64encode(picture).decode())
    assert within(found, b"<" + form(picture) + b">") == {"users.avatar"}  # type: ignore[operator]
    assert within(found, b"<" + form(bytes(100) + b"\xff" * 100) + b">") == set()  # type: ignore[operator]


@pytest.mark.parametrize("blank", ["-" * 40, "= " * 20, " . . . . . . . . . . . . . . .", "00000000000000000000000000"])
def test_what_stands_in_anything_is_not_looked_for(blank: str) -> None:
    assert person(id=7, bio=blank, avatar=base64.b64encode(bytes(99)).decode()).texts == []
    assert person(id=7, email="0000000000").texts == []
    assert len(person(id=7, email="13333333333").texts) == 1


def test_chinese_is_found_also_where_it_was_escaped() -> None:
    text = "资深后端工程师，负责支付系统的设计与开发"
    found = person(id=7, bio=text)
    assert within(found, json.dumps({"x": text}).encode()) == {"users.bio"}
    assert within(found, text.encode()) == {"users.bio"}


def test_equal_values_are_looked_for_once_and_too_many_are_counted() -> None:
    found = Person(most=2)
    for number in range(5):
        found.learn("users", SCHEMA, {"id": number, "bio": f"a text that is long enough {number}"}, personal=["email"])
        found.learn("users", SCHEMA, {"id": number, "bio": "one text that all have alike"}, personal=["email"])
    assert (len(found.texts), found.left_out) == (2, 4)
    found.learn("users", SCHEMA, {"email": "wei.zhang4823@example.com"}, personal=["email"])
    assert len(found.texts) == 3


def test_only_the_columns_that_were_cleared_are_looked_for() -> None:
    found = Person()
    row = {"email": "wei.zhang4823@example.com", "bio": "a text that is long enough to tell"}
    found.learn("users", SCHEMA, row, personal=["email"], only=["bio"])
    assert {one.what for one in found.texts} == {"users.bio"}


def test_stretches_are_the_longest_parts() -> None:
    assert stretches("short, a rather longer part of it, the very longest part of all these", 12) == [
        "the very longest part of all these",
        "a rather longer part of it",
    ]
    assert stretches("x" * (LEAST - 1), LEAST) == []
