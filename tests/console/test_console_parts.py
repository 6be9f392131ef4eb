"""Masking on the way to the page, and the agents' metrics in one."""

from tailrace.agent.api import Side, SideBySide
from tailrace.console.masking import masked
from tailrace.console.metrics import joined, labelled

LAG = """\
# HELP tailrace_lag_seconds How late a lane is.
# TYPE tailrace_lag_seconds gauge
tailrace_lag_seconds{sink="redis"} 0.1
# HELP tailrace_audit_seconds How long audits take.
# TYPE tailrace_audit_seconds histogram
tailrace_audit_seconds_bucket{le="+Inf"} 3
tailrace_audit_seconds_count 3
"""


def test_what_is_masked_leaves_without_its_values() -> None:
    told = SideBySide(
        "altered",
        {"id": 7},
        "users",
        [Side("name", "a", "b", True, False), Side("email", "a@b.example", "c@d.example", True, True)],
        True,
        True,
    )
    (left,) = masked([told])
    assert left.columns == [Side("name", "a", "b", True, False), Side("email", None, None, True, True)]
    assert (left.class_, left.key, left.place) == (told.class_, told.key, told.place)


def test_metrics_of_all_versions_are_told_family_by_family() -> None:
    assert joined({"future": LAG, "dao": 'tailrace_lag_seconds{sink="redis"} 4\n', "away": None}) == (
        "# HELP tailrace_agent_up Whether the version's agent answers.\n"
        "# TYPE tailrace_agent_up gauge\n"
        'tailrace_agent_up{version="future"} 1\n'
        'tailrace_agent_up{version="dao"} 1\n'
        'tailrace_agent_up{version="away"} 0\n'
        "# HELP tailrace_lag_seconds How late a lane is.\n"
        "# TYPE tailrace_lag_seconds gauge\n"
        'tailrace_lag_seconds{version="future",sink="redis"} 0.1\n'
        'tailrace_lag_seconds{version="dao",sink="redis"} 4\n'
        "# HELP tailrace_audit_seconds How long audits take.\n"
        "# TYPE tailrace_audit_seconds histogram\n"
        'tailrace_audit_seconds_bucket{version="future",le="+Inf"} 3\n'
        'tailrace_audit_seconds_count{version="future"} 3\n'
    )


def test_a_sample_is_labelled_with_its_version_once() -> None:
    assert labelled("up 1", "future") == 'up{version="future"} 1'
    assert labelled("up{} 1", "future") == 'up{version="future"} 1'
    assert labelled('up{a="b"} 1 1700', "future") == 'up{version="future",a="b"} 1 1700'
    assert labelled('up{version="dao"} 1', "future") == 'up{version="dao"} 1'
    assert labelled('up{a="b",version="dao"} 1', "future") == 'up{a="b",version="dao"} 1'
    assert labelled("up 1", 'a"b\\') == 'up{version="a\\"b\\\\"} 1'
