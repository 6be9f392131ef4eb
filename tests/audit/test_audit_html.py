"""The page of an audit: all of the report, nothing of it as markup, and nothing from elsewhere."""

from html.parser import HTMLParser

import msgspec
import pytest

from audit.html import MEANING, page
from audit.report import Class, Difference, Report, Result, overall

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;"


def result(sink: str, table: str, *differences: Difference, reason: str = "", left: int = 0) -> Result:
    different = len(differences) + left
    verdict = "different" if different else "undecided" if reason else "equal"
    return Result(sink, table, f"{table}:{{id}}", verdict, 1200, 1199, 1199, 0, different, list(differences), reason)


def differs(class_: Class, *columns: str, **key: int | str | None) -> Difference:
    return Difference(class_, dict(key), list(columns))


def report(*results: Result) -> Report:
    return Report(overall(list(results)), "future", "0000000000000000042", "deep", 12.5, list(results))


class Read(HTMLParser):
    """A page as a browser takes it: its tags, and the text of its sections by heading."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[list[str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.cells.append([])
        elif tag in {"td", "th"}:
            self.cells[-1].append("")
        if tag not in {"meta", "br", "img", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if {"td", "th"} & set(self.open):
            self.cells[-1][-1] += data


def rows_of(text: str) -> list[list[str]]:
    return [[" ".join(cell.split()) for cell in row] for row in Read(text).cells]


def test_every_class_is_listed_with_its_rows_in_one_order() -> None:
    found = [differs(class_, "title", id=number) for number, class_ in enumerate(MEANING)]
    text = page(report(result("postgres", "jobs", *reversed(found)), result("redis", "jobs")))
    seen = Read(text)
    assert set(MEANING) == set(Class.__args__)
    assert [cells[2] for cells in rows_of(text) if len(cells) == 4 and cells[2].startswith("id")] == [
        f"id = {number}" for number in range(len(MEANING))
    ]
    assert ["jobs", "postgres jobs:{id}", "id = 0", "title"] in rows_of(text)
    assert seen.open == []
    assert [tag for tag, _ in seen.tags].count("details") == len(MEANING)


def test_the_matrix_says_of_every_table_and_store_how_it_stands() -> None:
    text = page(
        report(
            result("postgres", "jobs", differs("missing", id=1), left=1233),
            result("redis", "jobs"),
            result("redis", "users", reason="the store is away"),
        )
    )
    rows = rows_of(text)
    assert ["table", "postgres", "redis"] in rows
    assert ["jobs", "≠ 1,234", "="] in rows
    assert ["users", "", "?"] in rows
    assert ["users", "redis users:{id}", "? undecidedthe store is away", "1,200", "1,199", "0", "0"] in rows
    assert "1,233 more differ" in Read(text).text


def test_a_hostile_key_stays_text() -> None:
    hostile = Difference("extra", {HOSTILE: HOSTILE}, [HOSTILE])
    named = Result(HOSTILE, HOSTILE, HOSTILE, "different", 0, 1, 0, 0, 1, [hostile], HOSTILE)
    text = page(Report("different", HOSTILE, HOSTILE, "deep", 0.1, [named]))
    seen = Read(text)
    assert {tag for tag, _ in seen.tags}.isdisjoint({"script", "img"})
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    assert f"{HOSTILE} = {HOSTILE}" in seen.text
    assert seen.open == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\u202etxt.exe", "a\\u{202e}txt.exe"),
        ("a\x00b\n", "a\\u{0}b\\u{a}"),
        ("\ud800", "\\u{d800}"),
        ("招聘 🚀", "招聘 🚀"),
        (1.5, "1.5"),
        (None, "null"),
        (True, "true"),
    ],
)
def test_what_cannot_be_seen_is_told_by_number(value: str | float | bool | None, shown: str) -> None:
    text = page(report(result("postgres", "jobs", Difference("missing", {"id": value}, []))))
    assert f"id = {shown}" in Read(text).text
    text.encode()


def test_values_of_personal_columns_are_left_out() -> None:
    found = [Difference("missing", {"email": "ann@example.com", "id": 7}, ["phone"])]
    results = [result("postgres", "users", *found), result("redis", "users.analysis", *found)]
    text = page(report(*results), {"users": ["email", "phone"]})
    assert "ann@example.com" not in text
    assert [cells[2:] for cells in rows_of(text) if len(cells) == 4][1:] == [["email = personal, id = 7", "phone"]] * 2


def test_a_repair_shows_both_reports() -> None:
    before = report(result("postgres", "jobs", differs("altered", "title", id=3)))
    after = msgspec.structs.replace(report(result("postgres", "jobs")), depth="keys")
    seen = Read(page(after, before=before))
    assert seen.text.index("Behind the repair: audit of version future") < seen.text.index("Before the repair: audit")
    assert "id = 3" in seen.text


def test_an_empty_report_is_a_page_too() -> None:
    assert "Nothing was compared." in Read(page(report())).text


def test_a_page_needs_nothing_from_elsewhere() -> None:
    text = page(report(result("postgres", "jobs", differs("missing", id=1))))
    assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text
    assert not {"src", "href", "action", "data"} & {name for _, attributes in Read(text).tags for name in attributes}
    assert "url(" not in text
    assert "@import" not in text
    assert "//" not in text
