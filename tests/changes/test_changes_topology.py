"""``topics.yaml``: every mistake is told with its line, and what is right is read as it stands."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from changes.errors import Misconfigured
from changes.schema import Column, Kind, TableSchema
from changes.target import Target
from changes.tier import DEFAULT_TIERS
from changes.topology import Topology, load

HERE = Path(__file__)
REPOSITORY = HERE.parents[2]


def anything_goes(_: Target) -> None:
    pass


def no_long_places(target: Target) -> None:
    if len(target.place) > 20:
        raise Misconfigured(f"place `{target.place}` is too long")


SINKS: Mapping[str, Callable[[Target], None]] = {
    "postgres": no_long_places,
    "redis": anything_goes,
    "sqlite": anything_goes,
}

RIGHT = """\
versions:
  future: {database: jobfirst_future}
tiers:
  batch: {flush: 2s, rows: 10, fresh: 1m}
tables:
  - table: jobs
    key: [id]
    user: company_id
    columns: {drop: [secret], personal: [phone]}
    enrich:
      embedding: {kind: embed, vectors: {title: [title]}, carry: [company_id]}
    sinks:
      - {sink: postgres, tier: realtime}
      - {sink: postgres, tier: realtime, of: embedding, place: job_embeddings}
      - {sink: redis, tier: batch, place: "job:{id}", keep: cache, keep_for: 1h, personal: allow, columns: [title]}
  - table: notes
    key: [a, b]
    sinks:
      - {sink: sqlite, tier: local}
"""


def read(text: str) -> Topology:
    return load(text, "topics.yaml", SINKS)


def test_targets_stand_in_the_order_of_the_file_without_derived_places() -> None:
    targets = read(RIGHT).targets("future")
    assert [(target.sink, target.table, target.place) for target in targets] == [
        ("postgres", "jobs", "jobs"),
        ("redis", "jobs", "job:{id}"),
        ("sqlite", "notes", "notes"),
    ]


def test_a_target_holds_what_its_declaration_says() -> None:
    plain, cache, notes = read(RIGHT).targets("future")
    assert plain == Target(
        version="future",
        database="jobfirst_future",
        table="jobs",
        key=("id",),
        sink="postgres",
        tier=DEFAULT_TIERS["realtime"],
        place="jobs",
        user="company_id",
        hidden=frozenset({"phone"}),
    )
    assert (cache.keep, cache.keep_for, cache.hidden, cache.only) == ("cache", 3600, frozenset(), frozenset({"title"}))
    assert (notes.key, notes.user, notes.only) == (("a", "b"), None, None)


def test_declared_tiers_stand_beside_the_default_ones() -> None:
    tiers = read(RIGHT).tiers
    assert (tiers["batch"].flush, tiers["batch"].rows, tiers["batch"].fresh) == (2.0, 10, 60.0)
    assert tiers["realtime"] == DEFAULT_TIERS["realtime"]


def test_versions_name_databases_topics_and_variables() -> None:
    topology = read(RIGHT.replace("}\ntiers", "}\n  dao: {database: other, env: D_}\ntiers"))
    assert topology.versions == ("future", "dao")
    assert topology.topic("dao", "jobs") == "dao.other.jobs"
    assert (topology.prefix("future"), topology.prefix("dao")) == ("FUTURE_", "D_")


# What is done to the right file, and all that is said of it.
MISTAKES = {
    "unknown sink": (
        "sink: sqlite, tier: local",
        "sink: oracle, tier: local",
        ["19: sink `oracle` is not known: there are postgres, redis, sqlite"],
    ),
    "unknown tier": (
        "sink: sqlite, tier: local",
        "sink: sqlite, tier: soon",
        ["19: tier `soon` is not known: there are realtime, local, batch, async, hourly"],
    ),
    "unknown key of a table": ("user: company_id", "owner: company_id", ["8: `owner` is not known here (in tables.0)"]),
    "unknown key of a sink": (
        "{sink: sqlite, tier: local}",
        "{sink: sqlite, tier: local, ttl: 1h}",
        ["19: `ttl` is not known here (in tables.1.sinks.0)"],
    ),
    "unknown key of the file": ("tiers:\n", "tears:\n", ["3: `tears` is not known here"]),
    "unknown enricher in of": (
        "of: embedding",
        "of: vectors",
        ["14: table `jobs` has no enricher `vectors`"],
    ),
    "a key twice in one mapping": (
        "    user: company_id\n",
        "    user: company_id\n    user: other\n",
        ["9: `user` is declared twice here"],
    ),
    "a table twice": (
        "table: notes",
        "table: jobs",
        ["16: table `jobs` is declared twice"],
    ),
    "a dropped key column": (
        "drop: [secret]",
        "drop: [secret, id]",
        ["7: column `id` of `jobs` is dropped at capture and needed here"],
    ),
    "a dropped column that an enricher reads": (
        "drop: [secret]",
        "drop: [title]",
        [
            "11: column `title` of `jobs` is dropped at capture and needed here",
            "15: column `title` of `jobs` is dropped at capture and needed here",
        ],
    ),
    "a dropped column that places rows": (
        "drop: [secret]",
        "drop: [company_id]",
        [
            "8: column `company_id` of `jobs` is dropped at capture and needed here",
            "11: column `company_id` of `jobs` is dropped at capture and needed here",
        ],
    ),
    "a dropped column that is personal": (
        "drop: [secret]",
        "drop: [phone]",
        ["9: column `phone` of `jobs` is dropped at capture and needed here"],
    ),
    "a lifetime in a mirror": (
        "{sink: sqlite, tier: local}",
        "{sink: sqlite, tier: local, keep_for: 1h}",
        ["19: `keep_for` needs `keep: cache`: a mirror's rows have no lifetime"],
    ),
    "two tables at one place": (
        "{sink: sqlite, tier: local}",
        "{sink: postgres, tier: local, place: jobs}",
        ["19: `jobs` in postgres is already the place of table `jobs`"],
    ),
    "one table twice at one place": (
        "{sink: sqlite, tier: local}",
        "{sink: sqlite, tier: local}\n      - {sink: sqlite, tier: batch}",
        ["20: `notes` in sqlite is already the place of table `notes`"],
    ),
    "derived data at a table's place": (
        "place: job_embeddings",
        "place: jobs",
        ["14: `jobs` in postgres is already the place of table `jobs`"],
    ),
    "a place that its sink refuses": (
        "{sink: sqlite, tier: local}",
        "{sink: postgres, tier: local, place: far_too_long_a_name_for_it}",
        ["19: place `far_too_long_a_name_for_it` is too long"],
    ),
    "a bad duration": (
        "flush: 2s",
        "flush: 2 seconds",
        ["4: Value error, `2 seconds` is no duration: write a number and one of ms, s, m, h, d (in tiers.batch.flush)"],
    ),
    "a list where a word is wanted": (
        "table: notes",
        "table: [notes]",
        ["16: Input should be a valid string (in tables.1.table)"],
    ),
    "a word where a list is wanted": (
        "key: [a, b]",
        "key: a",
        ["17: Input should be a valid list (in tables.1.key)"],
    ),
    "a number out of bounds": (
        "rows: 10",
        "rows: 0",
        ["4: Input should be greater than 0 (in tiers.batch.rows)"],
    ),
    "a missing key": ("    key: [a, b]\n", "", ["16: Field required (in tables.1.key)"]),
    "no key column": (
        "key: [a, b]",
        "key: []",
        ["17: List should have at least 1 item after validation, not 0 (in tables.1.key)"],
    ),
    "an unknown kind of enricher": (
        "kind: embed",
        "kind: guess",
        [
            "11: Input tag 'guess' found using 'kind' does not match any of the expected tags: 'embed', "
            "'job_analysis', 'company_analysis', 'resume_analysis', 'user_profile_analysis', "
            "'conversation_analysis' (in tables.0.enrich.embedding)"
        ],
    ),
    "a version that cannot name a topic": (
        "  future:",
        "  Future:",
        ["2: String should match pattern '^[a-z][a-z0-9_]*$' (in versions.Future.[key])"],
    ),
    "bad YAML": ("key: [id]", "key: [id", ["8: expected ',' or ']', but got ':'"]),
    "a tab": ("    key: [a, b]", "\tkey: [a, b]", ["17: found character '\\t' that cannot start any token"]),
    "a list for a key": ("table: notes", "[table]: notes", ["16: a key must be a plain word"]),
}


@pytest.mark.parametrize(("old", "new", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_its_line(old: str, new: str, told: list[str]) -> None:
    assert RIGHT.count(old) >= 1
    with pytest.raises(Misconfigured) as caught:
        read(RIGHT.replace(old, new, 1))
    assert str(caught.value).splitlines() == [f"topics.yaml:{line}" for line in told]


def test_every_mistake_is_told_not_only_the_first() -> None:
    text = RIGHT.replace("sink: sqlite", "sink: oracle").replace("of: embedding", "of: vectors")
    with pytest.raises(Misconfigured) as caught:
        read(text)
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == ["topics.yaml:14", "topics.yaml:19"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "[]", "word", "null"])
def test_a_file_without_declarations_is_refused_at_its_first_line(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"^topics\.yaml:1: "):
        read(text)


TEN = {"postgres", "redis", "sqlite", "mongodb", "elasticsearch", "neo4j", "weaviate", "ai_identity", "dao", "credit"}


def test_the_example_of_this_repository_is_right() -> None:
    sinks = dict.fromkeys(TEN, anything_goes)
    topology = load((REPOSITORY / "topics.yaml").read_text(), "topics.yaml", sinks)
    assert topology.versions == ("future", "dao", "blockchain")
    assert set(topology.sinks) == TEN
    assert "password_hash" in topology.tables["users"].columns.drop
    assert {target.table for target in topology.targets("future")} == set(topology.tables)


JOBS = TableSchema(
    "jobfirst_future",
    "jobs",
    tuple(Column(name, Kind.TEXT, "text") for name in ("id", "company_id", "secret", "phone", "title")),
    (),
)


def checked(schema: TableSchema, key: tuple[str, ...]) -> list[str]:
    return [str(problem) for problem in read(RIGHT).check_table(schema, key)]


def test_a_table_that_fits_its_declaration_has_no_problems() -> None:
    assert checked(JOBS, ("id",)) == []


def test_a_table_without_a_primary_key_is_told_with_the_statement_that_mends_it() -> None:
    assert checked(JOBS, ()) == [
        "topics.yaml:6: table `jobs` has no primary key, so its rows cannot be told apart: "
        "ALTER TABLE `jobs` ADD PRIMARY KEY (…)"
    ]


def test_another_primary_key_is_told_with_both() -> None:
    assert checked(JOBS, ("id", "title")) == [
        "topics.yaml:7: the primary key of `jobs` is (id, title), not (id): declare `key: [id, title]`, "
        "or ALTER TABLE `jobs` DROP PRIMARY KEY, ADD PRIMARY KEY (id)"
    ]


def test_the_order_of_a_primary_key_matters() -> None:
    notes = TableSchema("d", "notes", (Column("a", Kind.TEXT, "text"), Column("b", Kind.TEXT, "text")), ())
    assert checked(notes, ("b", "a")) == [
        "topics.yaml:17: the primary key of `notes` is (b, a), not (a, b): declare `key: [b, a]`, "
        "or ALTER TABLE `notes` DROP PRIMARY KEY, ADD PRIMARY KEY (a, b)"
    ]


def test_a_column_that_the_table_lacks_is_told_wherever_it_is_named() -> None:
    without = TableSchema("d", "jobs", tuple(c for c in JOBS.columns if c.name not in {"phone", "title"}), ())
    assert checked(without, ("id",)) == [
        "topics.yaml:9: table `jobs` has no column `phone`",
        "topics.yaml:11: table `jobs` has no column `title`",
        "topics.yaml:15: table `jobs` has no column `title`",
    ]


def test_nothing_goes_to_a_sink_that_is_left_out_and_nothing_is_made_for_it_alone() -> None:
    whole = read(RIGHT)
    assert whole.sinks == ("postgres", "redis", "sqlite")
    part = whole.without(["postgres"])
    assert part.sinks == ("redis", "sqlite")
    assert {target.sink for target in part.every_target("future")} == {"redis", "sqlite"}
    assert (set(whole.enrichers("jobs")), set(part.enrichers("jobs"))) == ({"embedding"}, set())
    assert part.without(["redis"]).sinks == ("sqlite",)


def test_what_is_made_for_no_sink_at_all_is_made_for_the_topic() -> None:
    line = "      - {sink: postgres, tier: realtime, of: embedding, place: job_embeddings}\n"
    assert set(read(RIGHT.replace(line, "")).without(["postgres"]).enrichers("jobs")) == {"embedding"}
