"""The connection to the binlog on real servers: who may have it, what protects it, and how large an event may be."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from certificates import Certificates, certificates
from proxy import Proxy
from sources import SERVERS, Source, source

from changes.errors import Misconfigured, Transient
from changes.gtid import MariadbGtids, MysqlGtids
from streams.binlog import events
from streams.binlog.connection import BinlogConnection
from streams.capture.snapshot import executed
from streams.mysql import MysqlUrl, session
from tailrace.stack.mariadb import MariaDB

PASSWORD = "Zürich 北京 'p\\w'"
MARK = "a text that nobody is to read on the way"
SERVER_ID = 0x7E570003


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates") / "made")


@pytest.fixture(scope="module", params=SERVERS)
def one(
    request: pytest.FixtureRequest, trusted: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Source]:
    """A server with a certificate for 127.0.0.1, and a table ``t``."""
    with source(request.param, tmp_path_factory.mktemp("connection"), options=trusted.options) as server:
        server.run("CREATE TABLE t (id INT PRIMARY KEY, text LONGTEXT)", "SET GLOBAL max_allowed_packet = 1073741824")
        yield server


@pytest.fixture
def fresh(one: Source) -> Callable[[str], MysqlUrl]:
    """The URL of a new account, of whose password the server remembers nothing that would spare it the asking."""

    def make(more: str = "") -> MysqlUrl:
        one.run(
            "DROP USER IF EXISTS 'fresh'@'127.0.0.1'",
            "CREATE USER 'fresh'@'127.0.0.1' IDENTIFIED BY 'Zürich 北京 ''p\\\\w''' " + more,
            "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'fresh'@'127.0.0.1'",
            "GRANT SELECT ON jobfirst_future.* TO 'fresh'@'127.0.0.1'",
        )
        return replace(one.url, user="fresh", password=PASSWORD)

    return make


def now(one: Source) -> MysqlGtids | MariadbGtids:
    with session(one.root) as connection:
        return executed(connection, mariadb=isinstance(one.server, MariaDB))


def row_event(url: MysqlUrl, one: Source, text: str) -> bytes:
    """The row event of an insert of ``text``, as it comes over a connection of ``url`` that was opened before."""
    one.run("DELETE FROM t")
    connection = BinlogConnection(url, now(one), server_id=SERVER_ID)
    try:
        one.run("INSERT INTO t VALUES (1, %s)", arguments=[text])
        return next(event for event in connection.events() if events.header(event).type in events.ROWS)
    finally:
        connection.close()


def test_a_password_that_the_server_does_not_remember_is_asked_for_in_full(
    one: Source, fresh: Callable[[str], MysqlUrl]
) -> None:
    """caching_sha2_password has it encrypted by the server's public key where TLS does not protect it; MariaDB's
    mysql_native_password never sends it."""
    for tls in ("disabled", "required", "preferred"):
        assert MARK.encode() in row_event(replace(fresh(), tls=tls), one, MARK)  # type: ignore[arg-type]


def test_an_old_kind_of_password_is_taken_from_mariadb(one: Source, fresh: Callable[[str], MysqlUrl]) -> None:
    fresh()
    plugins = dict(one.run("SELECT user, plugin FROM mysql.user WHERE user = 'fresh'"))
    wanted = "mysql_native_password" if isinstance(one.server, MariaDB) else "caching_sha2_password"
    assert plugins == {"fresh": wanted}


def test_a_wrong_password_says_whose_it_is_and_not_what_it_is(one: Source, fresh: Callable[[str], MysqlUrl]) -> None:
    for tls in ("disabled", "required"):
        url = replace(fresh(), password="not-it", tls=tls)  # type: ignore[arg-type]
        with pytest.raises(Misconfigured, match="refuses user `fresh`") as caught:
            BinlogConnection(url, now(one), server_id=SERVER_ID)
        assert "not-it" not in str(caught.value)


@pytest.mark.parametrize(("tls", "readable"), [("disabled", True), ("preferred", False), ("required", False)])
def test_what_the_url_asks_for_protects_the_binlog(
    one: Source, fresh: Callable[[str], MysqlUrl], tls: str, readable: bool
) -> None:
    with Proxy(one.url.port) as proxy:
        url = replace(fresh(), port=proxy.port, tls=tls)  # type: ignore[arg-type]
        assert MARK.encode() in row_event(url, one, MARK)
        assert (MARK.encode() in proxy.heard) == readable


def test_the_servers_certificate_is_looked_at_where_the_url_says_so(
    one: Source, fresh: Callable[[str], MysqlUrl], trusted: Certificates
) -> None:
    url = fresh()
    for tls in ("verify-ca", "verify-identity"):
        good = replace(url, tls=tls, ca=str(trusted.authority))  # type: ignore[arg-type]
        assert MARK.encode() in row_event(good, one, MARK)
        with pytest.raises(Misconfigured, match="`ssl_ca` names the file of the authority"):
            BinlogConnection(replace(good, ca=""), now(one), server_id=SERVER_ID)
    by_name = replace(url, host="localhost", ca=str(trusted.authority))
    assert MARK.encode() in row_event(replace(by_name, tls="verify-ca"), one, MARK)
    with pytest.raises(Misconfigured, match="is not what `ssl=verify-identity` wants"):
        BinlogConnection(replace(by_name, tls="verify-identity"), now(one), server_id=SERVER_ID)


def test_an_account_that_demands_tls_is_not_served_without(one: Source, fresh: Callable[[str], MysqlUrl]) -> None:
    url = fresh("REQUIRE SSL")
    assert MARK.encode() in row_event(replace(url, tls="required"), one, MARK)
    with pytest.raises(Misconfigured, match="refuses user `fresh`"):
        BinlogConnection(replace(url, tls="disabled"), now(one), server_id=SERVER_ID)


def test_a_server_that_demands_tls_says_what_to_add(one: Source, fresh: Callable[[str], MysqlUrl]) -> None:
    url, executed_now = fresh(), now(one)
    said = "on a connection without TLS" if isinstance(one.server, MariaDB) else r"add `\?ssl=required` to its URL"
    one.run("SET GLOBAL require_secure_transport = ON")
    try:
        with pytest.raises(Misconfigured, match=said):
            BinlogConnection(replace(url, tls="disabled"), executed_now, server_id=SERVER_ID)
    finally:
        with session(replace(one.root, tls="required")) as connection, connection.cursor() as cursor:
            cursor.execute("SET GLOBAL require_secure_transport = OFF")


def test_without_the_grant_the_server_gives_its_binlog_to_nobody(one: Source, fresh: Callable[[str], MysqlUrl]) -> None:
    url = fresh()
    one.run("REVOKE REPLICATION SLAVE ON *.* FROM 'fresh'@'127.0.0.1'")
    connection = BinlogConnection(url, now(one), server_id=SERVER_ID)
    try:
        with pytest.raises(Misconfigured, match="REPLICATION SLAVE"):
            next(connection.events())
    finally:
        connection.close()


@pytest.mark.parametrize("tls", ["disabled", "required"])
@pytest.mark.parametrize("megabytes", [15, 16, 17, 40])
def test_an_event_larger_than_a_packet_comes_whole(
    one: Source, fresh: Callable[[str], MysqlUrl], tls: str, megabytes: int
) -> None:
    """The protocol cuts at 16 MB less a byte; an event that ends just there is followed by an empty packet."""
    text = ("0123456789abcdef" * (megabytes << 16))[: (megabytes << 20) - 3]
    event = row_event(replace(fresh(), tls=tls), one, text)  # type: ignore[arg-type]
    assert text.encode() in event
    assert events.header(event).size - 4 == len(event)


def test_an_event_that_fills_its_packet_is_followed_by_an_empty_one(one: Source) -> None:
    """Sizes around the very limit, so that one of them hits it."""
    beside = len(row_event(one.url, one, "x" * (1 << 20))) - (1 << 20)
    for total in range(0xFFFFFF - 7, 0xFFFFFF + 2):
        size = total - beside
        assert len(row_event(one.url, one, "y" * size)) == total


def test_a_statement_that_is_never_answered_is_given_up(one: Source) -> None:
    with pytest.raises(Transient, match="Lost connection"), session(one.url, read_timeout=1) as connection:
        connection.cursor().execute("SELECT SLEEP(30)")
