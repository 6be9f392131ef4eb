"""Character sets: MySQL's names for what Python's codecs do, and where the two part."""

import pytest

from changes.errors import Misconfigured
from streams.binlog.charsets import Charset, Collations


@pytest.mark.parametrize(
    ("name", "stored", "text"),
    [
        ("utf8mb4", "f09f9880", "😀"),
        ("utf8mb3", "e58c97", "北"),
        ("ascii", "41", "A"),
        ("latin1", "80e9", "€é"),
        ("latin1", "818d8f909d", "\x81\x8d\x8f\x90\x9d"),  # the five bytes that cp1252 leaves out
        ("latin1", "61817a", "a\x81z"),
        ("gbk", "b1b1bea9", "北京"),
        ("gb18030", "9439fc36", "😀"),
        ("big5", "a55f", "北"),
        ("sjis", "966b", "北"),
        ("euckr", "b0a1", "가"),
        ("ucs2", "5317", "北"),
        ("utf16", "d83dde00", "😀"),
        ("utf16le", "3dd800de", "😀"),
        ("utf32", "0001f600", "😀"),
        ("cp1251", "c6", "Ж"),
        ("koi8r", "f6", "Ж"),
        ("tis620", "a1", "ก"),
    ],
)
def test_bytes_are_decoded_as_mysql_means_them(name: str, stored: str, text: str) -> None:
    assert Charset(name, 4).decode(bytes.fromhex(stored)) == text


def test_every_byte_of_latin1_is_a_character_of_its_own() -> None:
    texts = [Charset("latin1", 1).decode(bytes([byte])) for byte in range(256)]
    assert len(set(texts)) == 256


@pytest.mark.parametrize(("name", "stored"), [("utf8mb4", "ff"), ("gbk", "b1"), ("utf16", "d83d"), ("ascii", "80")])
def test_bytes_that_are_not_of_the_set_are_refused(name: str, stored: str) -> None:
    with pytest.raises(ValueError, match="codec can't decode"):
        Charset(name, 4).decode(bytes.fromhex(stored))


def test_a_set_without_a_codec_is_refused_by_name() -> None:
    with pytest.raises(Misconfigured, match=r"^columns in the character set `dec8` are not supported$"):
        Charset("dec8", 1).decode(b"a")


def test_collations_are_found_by_number_and_a_missing_one_is_named() -> None:
    collations = Collations([(45, "utf8mb4", 4), (8, "latin1", 1)])
    assert (collations[45], collations[8]) == (Charset("utf8mb4", 4), Charset("latin1", 1))
    with pytest.raises(Misconfigured, match="does not list collation number 46"):
        collations[46]
