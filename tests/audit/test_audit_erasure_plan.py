"""What becomes of which rows, in which order; and tables that must say so first."""

from pathlib import Path

import pytest

from audit.erasure.plan import Step, planned
from changes.errors import Misconfigured
from changes.topology import Topology, load
from tailrace.declared import read_whole

REPOSITORY = Path(__file__).parents[2]


def topology(tables: str) -> Topology:
    return load(f"versions:\n  future: {{database: d}}\ntables:\n{tables}", "t.yaml", {"postgres": lambda _: None})


def table(name: str, *more: str) -> str:
    lines = [f"  - table: {name}", "    key: [id]", "    sinks: [{sink: postgres, tier: realtime}]"]
    return "\n".join([*lines, *(f"    {line}" for line in more)]) + "\n"


USERS = table("users", "user: id", "columns: {personal: [email]}")


def names(found: list[Step]) -> list[str]:
    return [step.table for step in found]


def test_rows_go_with_their_owner_and_the_person_goes_last() -> None:
    declared = topology(USERS + table("notes", "user: user_id") + table("jobs"))
    assert planned(declared, []) == [
        Step("notes", "user_id", "delete"),
        Step("users", "id", "delete", {}, ("email",)),
    ]


def test_rows_that_refer_to_others_go_first() -> None:
    declared = topology("".join(table(name, "user: user_id") for name in ("c", "b", "a")) + USERS)
    assert names(planned(declared, [])) == ["users", "a", "b", "c"]
    assert names(planned(declared, [("b", "a_id", "a"), ("c", "b_id", "b"), ("b", "b_id", "b")])) == [
        "users",
        "c",
        "b",
        "a",
    ]
    with pytest.raises(Misconfigured, match="circle"):
        planned(declared, [("a", "b_id", "b"), ("b", "a_id", "a")])


def test_a_table_says_otherwise() -> None:
    declared = topology(
        USERS
        + table("bills", "user: user_id", "erase: keep")
        + table("posts", 'erase: {by: author, rows: clear, set: {author: 0, body: "gone"}}')
    )
    assert planned(declared, []) == [
        Step("posts", "author", "clear", {"author": 0, "body": "gone"}),
        Step("bills", "user_id", "keep"),
        Step("users", "id", "delete", {}, ("email",)),
    ]


def test_a_table_that_names_persons_must_say_what_becomes_of_its_rows() -> None:
    declared = topology(USERS + table("votes", "quality: {parents: {voter: users}}") + table("talks"))
    with pytest.raises(Misconfigured) as refusal:
        planned(declared, [("talks", "speaker", "users"), ("votes", "voter", "users")])
    told = str(refusal.value).splitlines()
    assert [line.partition(" ")[0] for line in told] == ["`votes.voter`", "`talks.speaker`"]
    assert "erase: {by: voter, rows: delete}" in told[0]


def test_without_owners_nobody_can_be_erased() -> None:
    with pytest.raises(Misconfigured, match="declares whose its rows are"):
        planned(topology(table("jobs")), [])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["erase: delete"], "t.yaml:7: say in `by` which column holds the person's id"),
        (["user: u", "erase: {set: {a: 1}}"], "`set` and `rows: clear` go together"),
        (["user: u", "erase: clear"], "`set` and `rows: clear` go together"),
        (["user: u", "erase: {rows: clear, set: {id: 1}}"], "t.yaml:8: `id` is of the key"),
        (["user: u", "columns: {drop: [v]}", "erase: {by: v}"], "column `v` of `notes` is dropped at capture"),
        (["user: u", "erase: forget"], "t.yaml:8"),
    ],
)
def test_mistakes_are_told_with_their_line(lines: list[str], message: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        topology(table("notes", *lines))
    assert message in str(refusal.value)


def test_the_example_says_it_of_every_table() -> None:
    declared = read_whole(REPOSITORY / "topics.yaml")
    steps = {step.table: step.rows for step in planned(declared, [])}
    assert steps["dao_votes"] == "clear"
    assert steps["dao_proposals"] == "clear"
    assert [*steps][-1] == "users"
