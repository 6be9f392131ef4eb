"""Shares held against targets, and what audits and lanes say of them."""

import pytest

from audit.compare import Found
from audit.deep import Audited
from audit.quality import EXAMPLES, MEASURES, Counted, MeasureName, Standing, judged, share, standing, target_of, worst
from audit.qualitystores import LaneTold, of_audit, of_lanes, unaudited
from audit.report import Class, Report, Result, overall, verdict_of
from audit.side import Finding, Side
from changes.key import key_of
from changes.schema import Column, Kind, TableSchema
from changes.target import Target
from changes.tier import DEFAULT_TIERS
from changes.topology import load
from changes.topology.quality import TargetsDecl
from streams.follow import Span
from streams.watch import LaneId

TOPICS = """\
versions:
  v: {database: d, env: V_}
quality: {coverage: 99.5%, logic: 0.5, age: 1h}
tables:
  - table: jobs
    key: [id]
    columns: {personal: [phone]}
    enrich:
      embedding: {kind: embed, vectors: {title: [title]}, chunk: {tokens: 64}}
    quality:
      formats: {email: email, kind: [a, b]}
      ordered: [[low, high]]
      within: {score: [0, 1]}
      parents: {id: jobs, other: elsewhere.id}
      series: {at: 1h}
    sinks:
      - {sink: postgres, tier: realtime}
      - {sink: redis, tier: realtime, place: "job:{id}", keep: cache}
      - {sink: sqlite, tier: local}
      - {sink: postgres, tier: realtime, of: embedding, place: vectors}
"""
TOPOLOGY = load(TOPICS, "topics.yaml", dict.fromkeys(("postgres", "redis", "sqlite"), lambda _: None))
TARGETS = TOPOLOGY.every_target("v")
POSTGRES, REDIS, SQLITE, VECTORS = TARGETS


@pytest.mark.parametrize(
    ("good", "total", "undecided", "verdict"),
    [
        (95, 100, 0, "met"),
        (94, 100, 0, "missed"),
        (94, 100, 1, "undecided"),
        (95, 100, 5, "met"),
        (0, 100, 94, "missed"),
        (0, 100, 100, "undecided"),
        (19, 20, 0, "met"),
        (0, 0, 0, "empty"),
        (0, None, 0, "undecided"),
    ],
)
def test_a_verdict_holds_whatever_is_undecided(good: int, total: int | None, undecided: int, verdict: Standing) -> None:
    assert standing(good, total, undecided, 0.95) == verdict


def test_a_share_is_of_what_is_decided_and_never_made_up() -> None:
    assert [share(3, 4, 0), share(3, 4, 1), share(0, 4, 4), share(0, None, 0), share(0, 0, 0)] == [
        0.75,
        1.0,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (["met", "empty"], "met"),
        (["met", "undecided"], "undecided"),
        (["met", "undecided", "missed"], "missed"),
        (["empty"], "undecided"),
        ([], "undecided"),
    ],
)
def test_the_worst_part_decides(verdicts: list[Standing], whole: Standing) -> None:
    assert worst(verdicts) == whole


def test_measures_stand_in_one_order_and_parts_by_themselves() -> None:
    found = judged(
        [
            Counted("logic", "t", "a <= b", 1, 4),
            Counted("completeness", "t", "name", 1000, 1000),
            Counted("completeness", "t", "note", 8, 10, examples=[{"id": n} for n in range(9)]),
            Counted("completeness", "t", "gone", reason="no such column"),
        ],
        TargetsDecl(logic=0.2),
    )
    assert [(one.measure, one.verdict, one.share, one.good, one.total) for one in found] == [
        ("completeness", "missed", 0.998020, 1008, 1010),
        ("logic", "met", 0.25, 1, 4),
    ]
    assert [(part.part, part.verdict, part.share, part.good, part.total) for part in found[0].parts] == [
        ("name", "met", 1.0, 1000, 1000),
        ("note", "missed", 0.8, 8, 10),
        ("gone", "undecided", None, None, None),
    ]
    assert found[0].parts[1].examples == [{"id": n} for n in range(EXAMPLES)]


def test_targets_are_the_platforms_unless_others_are_declared() -> None:
    assert {name: target_of(name, TargetsDecl()) for name in MEASURES} == {
        "coverage": 0.95,
        "completeness": 0.90,
        "series": 0.85,
        "consistency": 0.98,
        "format": 0.95,
        "logic": 0.92,
        "freshness": 0.95,
        "age": 1.0,
    }
    own = TOPOLOGY.declared.quality
    wanted: dict[MeasureName, float] = {"coverage": 0.995, "logic": 0.5, "format": 0.95}
    assert {name: target_of(name, own) for name in wanted} == wanted
    assert own.age == "1h"


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("coverage: 99.5%", "coverage: 9.9.5%", "is no share"),
        ("coverage: 99.5%", "coverage: 99.5", "less than or equal to 1"),
        ("parents: {id: jobs", "parents: {id: nowhere", "`nowhere` is not declared: name the column"),
        ("score: [0, 1]", "score: [1, 0]", "no number lies between 1.0 and 0.0"),
        ("at: 1h", "at: 500ms", "is not in whole seconds"),
        ("ordered: [[low, high]]", "ordered: [[low]]", "Field required"),
        ("kind: [a, b]", "kind: []", "a list of values has one at least"),
        ("email: email", "email: mail", "`mail` is no format: there are email, url, phone, json, past, or a list"),
        ("series:", "serial:", "`serial` is not known here"),
    ],
)
def test_a_mistake_is_told_with_its_line(right: str, wrong: str, told: str) -> None:
    number = next(n for n, line in enumerate(TOPICS.splitlines(), 1) if right in line)
    with pytest.raises(Exception, match=rf"topics.yaml:{number}: .*{told}"):
        load(
            TOPICS.replace(right, wrong), "topics.yaml", dict.fromkeys(("postgres", "redis", "sqlite"), lambda _: None)
        )


# -- stores -----------------------------------------------------------------------------------------------------------


def finding(target: Target, id_: int, class_: Class, **more: int) -> tuple[Side, Finding]:
    names = {"id": id_, **more}
    columns = tuple(Column(name, Kind.INTEGER, "bigint", nullable=False) for name in names)
    key = key_of(TableSchema("d", target.table, columns, tuple(names)), names)
    side = Side(0, target, None, LaneId("v", target.sink, "realtime", ()))  # type: ignore[arg-type]
    return side, Finding(key, "", Found(class_), None, Span({}))


def audited(*results: tuple[Target, int, int, int], findings: list[tuple[Side, Finding]], reason: str = "") -> Audited:
    """Each result is (target, rows in MySQL, different, undecided)."""
    told = [
        Result(
            target.sink,
            target.table,
            target.place,
            verdict_of(bad, open_, rows),
            rows,
            rows,
            rows,
            open_,
            bad,
            [],
            reason,
        )
        for target, rows, bad, open_ in results
    ]
    by_table: dict[str, list[tuple[Side, Finding]]] = {}
    for side, one in findings:
        by_table.setdefault(side.target.table, []).append((side, one))
    return Audited(Report(overall(told), "v", "1", "quick", 0.1, told), by_table)


def of(one: Counted) -> tuple[str, str, str, int, int | None, int]:
    return one.measure, one.table, one.part, one.good, one.total, one.undecided


def test_missing_rows_are_uncovered_and_each_row_differs_once() -> None:
    both = [finding(POSTGRES, 1, "missing"), finding(POSTGRES, 2, "altered"), finding(SQLITE, 2, "missing")]
    found = list(
        of_audit(audited((POSTGRES, 10, 2, 0), (REDIS, 10, 0, 0), (SQLITE, 10, 1, 0), findings=both), TARGETS, {})
    )
    assert [of(one) for one in found] == [
        ("coverage", "jobs", "postgres jobs", 9, 10, 0),
        ("coverage", "jobs", "sqlite jobs", 9, 10, 0),
        ("consistency", "jobs", "all its stores", 8, 10, 0),
    ]
    assert [list(one.examples) for one in found] == [[{"id": 1}], [{"id": 2}], [{"id": 1}, {"id": 2}]]


def test_chunks_of_one_row_are_one_row() -> None:
    chunks = [finding(VECTORS, 7, "missing", chunk=number) for number in range(3)]
    coverage, consistency = of_audit(audited((VECTORS, 10, 3, 0), findings=chunks), TARGETS, {})
    assert of(coverage)[3:] == of(consistency)[3:] == (9, 10, 0)
    assert coverage.examples[0] == {"id": 7, "chunk": 0}


def test_what_an_audit_left_open_is_undecided() -> None:
    away = audited((POSTGRES, 10, 0, 10), (SQLITE, 10, 1, 0), findings=[finding(SQLITE, 1, "stale")], reason="away")
    assert [of(one)[3:] for one in of_audit(away, TARGETS, {})] == [(0, 10, 10), (10, 10, 0), (0, 10, 9)]
    many = audited((POSTGRES, 100, 60, 0), findings=[finding(POSTGRES, number, "missing") for number in range(50)])
    assert [of(one)[3:] for one in of_audit(many, TARGETS, {})] == [(40, 100, 10), (40, 100, 10)]


def test_nothing_is_said_of_a_table_that_was_not_looked_at() -> None:
    nothing = Result("postgres", "jobs", "jobs", "undecided", 0, 0, 0, 0, 0, [], "the table is still being filled")
    found = list(of_audit(Audited(Report("undecided", "v", "1", "quick", 0.1, [nothing]), {}), TARGETS, {}))
    assert [(one.total, one.reason) for one in found] == [
        (None, "the table is still being filled"),
        (None, "postgres: the table is still being filled"),
    ]
    assert [
        (one.measure, one.table, one.part, one.total, one.reason) for one in unaudited(TARGETS, "Kafka is away")
    ] == [
        ("coverage", "jobs", "postgres jobs", None, "Kafka is away"),
        ("coverage", "jobs", "sqlite jobs", None, "Kafka is away"),
        ("coverage", "jobs.embedding", "postgres vectors", None, "Kafka is away"),
        ("consistency", "jobs", "all its stores", None, "Kafka is away"),
        ("consistency", "jobs.embedding", "all its stores", None, "Kafka is away"),
    ]


def test_personal_keys_are_no_examples() -> None:
    one = audited((POSTGRES, 10, 1, 0), findings=[finding(POSTGRES, 1, "missing")])
    assert [list(found.examples) for found in of_audit(one, TARGETS, {"jobs": ["id"]})] == [[], []]


def test_lanes_that_say_nothing_are_unknown_and_those_without_changes_empty() -> None:
    tier = DEFAULT_TIERS["realtime"]
    lanes = [
        LaneTold("postgres", tier, 200, 190, 3599.0),
        LaneTold("redis", tier, None, None, None),
        LaneTold("sqlite", tier, 0, 0, 3601.0),
    ]
    found = list(of_lanes(lanes, 3600))
    assert [of(one) for one in found] == [
        ("freshness", "", "postgres realtime: within 0.1 s", 190, 200, 0),
        ("freshness", "", "redis realtime", 0, None, 0),
        ("freshness", "", "sqlite realtime: within 0.1 s", 0, 0, 0),
        ("age", "", "postgres realtime", 1, 1, 0),
        ("age", "", "redis realtime", 0, None, 0),
        ("age", "", "sqlite realtime", 0, 1, 0),
    ]
    verdicts = [[part.verdict for part in one.parts] for one in judged(found, TargetsDecl())]
    assert verdicts == [["met", "undecided", "empty"], ["met", "undecided", "missed"]]
    assert found[5].reason == "3601.0 s behind"
