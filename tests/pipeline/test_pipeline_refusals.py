"""Bad input gets a clear error and loses nothing."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from line import Line, line

from changes.errors import Misconfigured
from changes.progress import internal_topic
from sinks.registry import SPECS
from streams.kafka import read_topic
from streams.mysql import MysqlUrl, connect
from streams.preflight import Flavour, preflight, variable_problems
from tailrace.cli import cli
from tailrace.declared import read_topology
from tailrace.stack import Stack

pytestmark = pytest.mark.slow

Declare = Callable[..., Path]

MYSQL = Flavour(mariadb=False, version=(9, 7, 4))
RIGHT = {
    "log_bin": "ON",
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "binlog_row_metadata": "FULL",
    "gtid_mode": "ON",
}


@pytest.fixture
def source(servers: Stack) -> MysqlUrl:
    """A database of our own, as its server's root."""
    url = replace(MysqlUrl.parse(servers.admin()["future"]["mysql"]), database="refusals")
    with closing(connect(replace(url, database="mysql"))) as connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS refusals")
        cursor.execute("CREATE DATABASE refusals")
    return url


@pytest.fixture
def declare(tmp_path: Path) -> Declare:
    """Write a declaration of one table, with more of its lines where given."""

    def write(*more: str, key: str = "id", sink: str = "postgres") -> Path:
        path = tmp_path / "topics.yaml"
        lines = [
            "versions:",
            "  future: {database: refusals}",
            "tables:",
            "  - table: t",
            f"    key: [{key}]",
            f"    sinks: [{{sink: {sink}, tier: realtime}}]",
            *more,
        ]
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def run_sql(url: MysqlUrl, *statements: str) -> None:
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def refusal(url: MysqlUrl, topics: Path) -> str:
    with pytest.raises(Misconfigured) as caught:
        preflight(url, read_topology(topics), "future")
    return str(caught.value)


@contextmanager
def setting(url: MysqlUrl, name: str, value: str, back: str) -> Iterator[None]:
    run_sql(url, f"SET GLOBAL {name} = {value}")
    try:
        yield
    finally:
        run_sql(url, f"SET GLOBAL {name} = {back}")


def test_a_wrong_password_names_the_user_and_keeps_the_password_to_itself(source: MysqlUrl, declare: Declare) -> None:
    text = refusal(replace(source, password="not-it"), declare())
    assert "refuses user `root`" in text
    assert "not-it" not in text


def test_a_server_without_a_binlog_is_refused_with_what_to_do() -> None:
    assert variable_problems(RIGHT, MYSQL) == []
    assert variable_problems({**RIGHT, "log_bin": "OFF"}, MYSQL) == [
        "`log_bin` is `OFF`, capture needs `ON`: start the server with --log-bin"
    ]


def test_row_image_minimal_is_refused_with_the_mending_statement(source: MysqlUrl, declare: Declare) -> None:
    run_sql(source, "CREATE TABLE t (id INT PRIMARY KEY)")
    with setting(source, "binlog_row_image", "'MINIMAL'", "'FULL'"):
        assert "SET PERSIST binlog_row_image = 'FULL'" in refusal(source, declare())


def test_a_table_without_a_primary_key_is_refused_with_its_line(source: MysqlUrl, declare: Declare) -> None:
    run_sql(source, "CREATE TABLE t (id INT)")
    text = refusal(source, declare())
    assert ":4: table `t` has no primary key" in text
    assert "ADD PRIMARY KEY" in text


def test_an_unknown_column_is_refused_with_its_line(source: MysqlUrl, declare: Declare) -> None:
    run_sql(source, "CREATE TABLE t (id INT PRIMARY KEY)")
    text = refusal(source, declare("    columns:", "      personal: [phnoe]"))
    assert ":8: table `t` has no column `phnoe`" in text


def test_an_unknown_sink_is_refused_with_its_line_and_the_known_ones(declare: Declare) -> None:
    result = CliRunner().invoke(cli, ["validate", "--offline", "--topics", str(declare(sink="postgers"))])
    assert result.exit_code == 78
    assert f":6: sink `postgers` is not known: there are {', '.join(sorted(SPECS))}" in result.stderr


def test_cascading_foreign_keys_are_refused_where_the_engine_hides_them(source: MysqlUrl, declare: Declare) -> None:
    """MySQL 9.6 and later log what a cascade does, unless InnoDB is told to do it by itself."""
    run_sql(
        source,
        "CREATE TABLE parent (id INT PRIMARY KEY)",
        "CREATE TABLE t (id INT PRIMARY KEY, p INT, "
        "CONSTRAINT gone FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
    )
    with closing(connect(source)) as connection:
        logged = not Flavour.of(connection).mariadb and Flavour.of(connection).version >= (9, 6)
    if logged:
        preflight(source, read_topology(declare()), "future")
    else:
        assert "ALTER TABLE `t` DROP FOREIGN KEY `gone`" in refusal(source, declare())


def dead_letters(running: Line) -> list[dict[str, str]]:
    letters = []
    for message in read_topic(running.kafka, internal_topic("future", "dlq")):
        headers = {name: (value or b"").decode() for name, value in dict(message.headers() or ()).items()}
        letters.append({"key": (message.key() or b"").decode(), **headers})
    return letters


def test_a_value_that_a_store_refuses_is_parked_and_healed_by_the_rows_next_change(
    servers: Stack, tmp_path: Path
) -> None:
    """PostgreSQL stores no NUL character; Redis does."""
    with line(servers.endpoints()["future"], tmp_path, rows=50) as running:
        run_sql(running.mysql, "UPDATE jobs SET title = CONCAT('a', CHAR(0), 'b') WHERE id = 1")
        run_sql(running.mysql, "UPDATE jobs SET title = 'neighbour' WHERE id = 2")
        running.settle()
        (letter,) = dead_letters(running)
        assert letter["key"] == '{"id":1}'
        assert letter["tr-sink"] == "postgres"
        assert letter["__connect.errors.topic"] == "future.jobfirst_future.jobs"
        assert letter["__connect.errors.exception.message"]
        report = running.check()
        wrong = {(r.sink, r.table): r.differences for r in report.results if r.verdict != "equal"}
        assert list(wrong) == [("postgres", "jobs")]
        (difference,) = wrong["postgres", "jobs"]
        assert (difference.class_, difference.key) == ("stale", {"id": 1})
        run_sql(running.mysql, "UPDATE jobs SET title = 'healed' WHERE id = 1")
        assert running.check().verdict == "equal"
