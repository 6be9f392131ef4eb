"""What needs no server: scripts in statements, URLs refused, traffic's arguments checked."""

import pytest

from tailrace.example.database import connect, script
from tailrace.example.traffic import Traffic

URL = "mysql://user@127.0.0.1:3306/example"


def test_a_script_is_cut_into_statements_without_comments() -> None:
    statements = script("ledger.sql")
    assert [statement.split("`")[1] for statement in statements] == ["tr_ledger", "tr_ledger_truth"]
    assert not any("--" in statement or statement.endswith(";") for statement in statements)


@pytest.mark.parametrize("url", ["postgresql://h/db", "mysql://h", "mysql://h/", "mysql:///db", "h:3306/db"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="mysql://user:password@host"):
        connect(url)


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"share_embedded": 2.0}, {"workers": 0}])
def test_traffic_checks_its_arguments(wrong: dict[str, float]) -> None:
    arguments = {"rate": 10.0, "share_embedded": 0.1, "workers": 1} | wrong
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Traffic(
            URL,
            seed=1,
            rate=arguments["rate"],
            share_embedded=arguments["share_embedded"],
            workers=int(arguments["workers"]),
        )


def test_stats_before_the_start_are_empty() -> None:
    stats = Traffic(URL, rate=5, seed=1).stats()
    assert (stats.transactions, stats.changes, stats.rate) == (0, 0, 0.0)
    assert stats.commit_p50_ms is None
