"""What isolation decides of doors and canaries, and how it is told: pure."""

import pytest

from audit.isolation.canaryrow import Column, insertion, tables
from audit.isolation.data import Searched, judged, tokens_of
from audit.isolation.database import Attempt, same_secrets
from audit.isolation.database import judged as doors_judged
from audit.isolation.places import Place, place, with_login
from audit.isolation.report import Finding, Judged, Report, Result, fail, report, result, undecided, without
from audit.isolation.run import Grounds, of_container
from audit.isolation.stores.answers import Answer, Found, Hit, Search, common
from changes.errors import Misconfigured
from changes.topology import Topology, load

INSIDE, REFUSED = Answer("inside"), Answer("refused", "no")
MINE = place("future", "redis", "redis://:one@127.0.0.1:6379/0")
THEIRS = place("dao", "redis", "redis://:two@127.0.0.1:6380/3")


def verdicts(found: Judged) -> list[str]:
    return [finding.verdict for finding in found.findings]


# -- places ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "url", "addresses", "database", "user", "secret"),
    [
        ("mysql", "mysql://u:p%40w@db.example/jobs", (("db.example", 3306),), "jobs", "u", "p@w"),
        ("redis", "redis://:w@LOCALHOST", (("127.0.0.1", 6379),), "0", "", "w"),
        ("kafka", "kafka://a:b@one:1,two:2", (("one", 1), ("two", 2)), "", "a", "b"),
        ("weaviate", "http://t:k@w:80?grpc=81", (("w", 80), ("w", 81)), "", "t", "k"),
        ("mongodb", "mongodb://[::1]:7/x", (("127.0.0.1", 7),), "x", "", ""),
        ("sqlite", "sqlite:///var/files", (), "/var/files", "", ""),
    ],
)
def test_a_url_in_its_parts(
    kind: str, url: str, addresses: tuple[tuple[str, int], ...], database: str, user: str, secret: str
) -> None:
    found = place("future", kind, url)
    assert (found.addresses, found.database, found.user, found.secret) == (addresses, database, user, secret)


def test_no_place_shows_its_password() -> None:
    found = place("future", "mysql", "mysql://u:geheim@h/d")
    assert "geheim" not in repr(found) + found.name + found.at


def test_a_url_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(Misconfigured) as caught:
        place("future", "redis", "redis://:geheim@host:no-port")
    assert "geheim" not in str(caught.value)


def test_credentials_change_and_the_rest_stays() -> None:
    assert with_login("mysql://u:p@h:1/d?ssl=required", "a@b", "c/d") == "mysql://a%40b:c%2Fd@h:1/d?ssl=required"
    assert with_login("redis://:p@h:1/2", "", "") == "redis://h:1/2"


# -- doors ----------------------------------------------------------------------------------------------------------


def at(
    own: Answer = INSIDE, stranger: Answer = REFUSED, foreign: Answer = REFUSED, by: Place = THEIRS, what: str = ""
) -> Judged:
    return doors_judged(
        [
            Attempt(MINE, "own", own),
            Attempt(MINE, "stranger", stranger),
            Attempt(MINE, "foreign", foreign, by, what),
        ]
    )


def test_a_server_that_lets_its_own_in_and_refuses_all_others_is_closed() -> None:
    assert at() == Judged(3, ())


def test_whoever_comes_in_with_foreign_credentials_breaks_it() -> None:
    found = at(foreign=INSIDE)
    assert verdicts(found) == ["fail"]
    assert found.findings[0].what == "with the credentials of `redis` of `dao` one can come in at `redis` of `future`"


def test_a_deed_within_is_told_with_what_it_showed() -> None:
    found = at(foreign=Answer("inside", "2 of them"), what="read topics")
    assert found.findings[0].what.endswith("one can read topics at `redis` of `future`: 2 of them")


def test_a_server_that_asks_nobody_is_never_closed() -> None:
    found = at(stranger=INSIDE, foreign=INSIDE)
    assert verdicts(found) == ["undecided"]
    assert "asks nobody" in found.findings[0].what


def test_no_refusal_counts_of_a_server_that_is_away_or_refuses_its_own() -> None:
    for own in (Answer("unknown", "away"), REFUSED):
        assert verdicts(at(own=own)) == ["undecided"]
    assert verdicts(at(stranger=Answer("unknown", "busy"))) == ["undecided"]
    assert verdicts(at(foreign=Answer("unknown", "busy"))) == ["undecided"]


def test_being_known_and_barred_is_right_only_on_a_server_that_both_use() -> None:
    barred = Answer("barred", "not this database")
    shared = place("dao", "redis", "redis://:two@127.0.0.1:6379/3")
    assert verdicts(at(foreign=barred)) == ["fail"]
    assert verdicts(at(foreign=barred, by=shared)) == []


def test_one_password_in_two_versions_is_told_and_not_named() -> None:
    other = place("dao", "mysql", "mysql://u:one@h/d")
    found = same_secrets("future", [MINE, THEIRS, other])
    assert [finding.what for finding in found.findings] == [
        "`redis` of `future` and `mysql` of `dao` have the same password"
    ]
    assert same_secrets("future", [MINE, THEIRS]).findings == ()


# -- canaries -------------------------------------------------------------------------------------------------------

TOKENS = {"future": "c-1-future-z", "dao": "c-1-dao-z"}


def found(*tokens: str, unread: tuple[str, ...] = ()) -> Found:
    return Found(5, tuple(Hit(TOKENS[version], "key `k`") for version in tokens), unread)


def canaries(mine: Found | None, theirs: Found | None, unplanted: dict[Place, str] | None = None) -> Judged:
    return judged("future", TOKENS, [Searched(MINE, mine, "away"), Searched(THEIRS, theirs, "away")], unplanted or {})


def test_canaries_that_are_where_they_belong() -> None:
    assert canaries(found("future"), found("dao")) == Judged(10, ())


def test_a_canary_elsewhere_breaks_it_for_the_version_whose_it_is() -> None:
    assert verdicts(canaries(found("future"), found("future", "dao"))) == ["fail"]
    assert verdicts(canaries(found("future", "dao"), found("dao"))) == []  # dao's own result tells of that one


def test_a_search_that_does_not_find_what_is_there_proves_nothing() -> None:
    assert verdicts(canaries(found("future"), found())) == ["undecided"]
    assert verdicts(canaries(found(), found("dao"))) == ["undecided"]
    assert verdicts(canaries(found("future"), None)) == ["undecided"]
    assert verdicts(canaries(found("future"), found("dao", unread=("table `x`: denied",)))) == ["undecided"]
    assert verdicts(canaries(found("future"), found(), {THEIRS: "read-only"})) == ["undecided"]


def test_no_token_is_the_beginning_of_another() -> None:
    tokens = tokens_of(["dao", "dao2", "da"])
    assert not [1 for one in tokens.values() for other in tokens.values() if one != other and one in other]
    assert tokens_of(["dao"]) != tokens_of(["dao"])


def test_a_search_sees_texts_bytes_and_what_holds_them() -> None:
    search = Search(list(TOKENS.values()))
    assert search.needle == "c-1-"
    search.see("a", b"..c-1-dao-z..", None, 7)
    search.see("b", {"x": ["c-1-future-z", b"c-1-dao-z"]})
    search.see("c", "c-1-", "c-1-fut", "ure-z")
    seen = search.found()
    assert seen.looked_at == 3
    assert set(seen.hits) == {Hit(TOKENS["dao"], "a"), Hit(TOKENS["future"], "b"), Hit(TOKENS["dao"], "b")}
    assert common(["only"]) == "only"


# -- the row that goes through the line -----------------------------------------------------------------------------

TOPICS = """
versions: {future: {database: d}}
tiers:
  realtime: {flush: 5ms, rows: 500, fresh: 100ms}
  hourly: {flush: 1h, rows: 500, fresh: 61m}
tables:
  - {table: read_by_a_model, key: [id], enrich: {e: {kind: embed, vectors: {v: [t]}}},
     sinks: [{sink: redis, tier: realtime, place: "r:{id}"}]}
  - {table: slow, key: [id], sinks: [{sink: postgres, tier: hourly}]}
  - {table: first, key: [id], sinks: [{sink: postgres, tier: realtime}]}
  - {table: no_more, key: [id], sinks: [{sink: postgres, tier: realtime}]}
  - {table: second, key: [id],
     sinks: [{sink: postgres, tier: realtime}, {sink: redis, tier: realtime, place: "s:{id}"}]}
"""


def topology(text: str = TOPICS) -> Topology:
    return load(text, "topics.yaml", {"redis": lambda _: None, "postgres": lambda _: None})


def test_the_fewest_tables_that_cost_nothing_are_taken() -> None:
    assert tables(topology(), "future", 30.0) == ["first", "second"]


ID = Column("id", "bigint", 0, True, True)
NAME = Column("name", "varchar", 50, True, False)
TOKEN = "c-1-future-z"


def test_a_row_says_the_token_in_every_text_that_holds_it() -> None:
    columns = [ID, NAME, Column("short", "varchar", 3, True, False), Column("kind", "enum", 0, True, False),
               Column("on", "date", 0, True, False), Column("note", "text", 9999, False, False),
               Column("left_out", "int", 0, False, False)]  # fmt: skip
    made = insertion("t", columns, ["id"], None, None, TOKEN)
    assert made is not None
    assert dict(zip(made.names, made.values, strict=True)) == {
        "name": TOKEN, "short": "c-1", "kind": 1, "on": "2000-01-01", "note": TOKEN,
    }  # fmt: skip
    assert made.told == "name"


def test_a_row_that_cannot_be_made_up_is_none() -> None:
    assert insertion("t", [ID], ["id"], None, None, TOKEN) is None  # nowhere to say it
    assert insertion("t", [Column("id", "int", 0, True, False), NAME], ["id"], None, None, TOKEN) is None
    assert insertion("t", [ID, NAME, Column("at", "geometry", 0, True, False)], ["id"], None, None, TOKEN) is None
    assert insertion("t", [ID, NAME, Column("user", "int", 0, True, False)], ["id"], "user", None, TOKEN) is None
    owned = insertion("t", [ID, NAME, Column("user", "int", 0, True, False)], ["id"], "user", 7, TOKEN)
    assert owned is not None
    assert dict(zip(owned.names, owned.values, strict=True)) == {"name": TOKEN, "user": 7}


# -- verdicts -------------------------------------------------------------------------------------------------------

BAD, UNSEEN = fail("bad", "here", "mend it"), undecided("unseen", "there", "look again")


def test_what_fails_outweighs_what_is_undecided_and_nothing_looked_at_is_no_proof() -> None:
    assert result("v", "data", [Judged(1)]).verdict == "pass"
    assert result("v", "data", [Judged(1, (UNSEEN,)), Judged(1, (BAD,))]) == Result(
        "v", "data", "fail", [BAD, UNSEEN], 2
    )
    assert result("v", "data", [Judged(1, (UNSEEN,))]).verdict == "undecided"
    assert result("v", "data", [Judged()]).verdict == "undecided"
    assert report([result("v", "data", [Judged(1)])]).verdict == "pass"
    assert report([]).verdict == "undecided"


def test_against_a_version_that_is_not_known_here_nothing_is_decided() -> None:
    alone = of_container(Grounds(topology(), []), "future")
    assert (alone.verdict, alone.findings[-1].what) == ("undecided", "`future` is the only version")
    two = topology(TOPICS.replace("{database: d}", "{database: d}, dao: {database: e}", 1))
    found = of_container(Grounds(two, []), "future")
    assert found.verdict == "undecided"
    assert "`dao` is declared, and none of its endpoints" in found.findings[-1].what


def test_findings_beyond_a_hundred_are_counted() -> None:
    many = tuple(fail(f"bad {number}", "", "") for number in range(150))
    listed = result("v", "data", [Judged(1, many)]).findings
    assert len(listed) == 101
    assert listed[-1].what == "50 more findings"


def test_secrets_are_blotted_out_of_what_servers_say() -> None:
    told = Report("fail", [Result("word", "data", "fail", [Finding("fail", "a word too many", "at word", "x")], 1)])
    clean = without(told, ["word", "a"]).results[0]
    assert clean.version == "word"
    assert clean.findings == [Finding("fail", "a (secret) too many", "at (secret)", "x")]
