"""A MySQL URL says how its connections are protected; what a server answers becomes one of our errors."""

import ssl
from pathlib import Path

import pymysql
import pytest
from pymysql.constants import CR

from changes.errors import Misconfigured, Transient
from streams.binlog.connection import refusal
from streams.mysql import MysqlUrl, classified, connect

URL = "mysql://me:pw@db.example:3307/app"


@pytest.mark.parametrize(
    ("url", "tls", "ca"),
    [
        (URL, "preferred", ""),
        ("mysql://me:pw@127.0.0.1/app", "disabled", ""),
        ("mysql://me:pw@localhost/app", "disabled", ""),
        ("mysql://me:pw@[::1]/app", "disabled", ""),
        ("mysql://me:pw@127.0.0.1/app?ssl=preferred", "preferred", ""),
        (f"{URL}?ssl=disabled", "disabled", ""),
        (f"{URL}?ssl=required", "required", ""),
        (f"{URL}?ssl=verify-ca&ssl_ca=/etc/ca.pem", "verify-ca", "/etc/ca.pem"),
        (f"{URL}?ssl=verify-identity", "verify-identity", ""),
    ],
)
def test_the_url_says_how_its_connections_are_protected(url: str, tls: str, ca: str) -> None:
    found = MysqlUrl.parse(url)
    assert (found.tls, found.ca) == (tls, ca)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("ssl=yes", "`ssl=yes` of a MySQL URL is none of disabled, preferred, required, verify-ca, verify-identity"),
        ("ssl=", "`ssl=` of a MySQL URL is none of"),
        ("ssl=required&ssl_ca=/ca.pem", "`ssl_ca` of a MySQL URL is for `ssl=verify-ca`"),
    ],
)
def test_what_no_connection_could_be_is_refused(query: str, said: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        MysqlUrl.parse(f"{URL}?{query}")
    assert str(caught.value).startswith(said)


def test_a_file_of_certificates_that_is_none_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    for text in (None, "no certificate"):
        if text is not None:
            broken.write_text(text)
        with pytest.raises(Misconfigured, match=r"`ssl_ca` of the MySQL URL, `.*ca\.pem`, cannot be used"):
            connect(MysqlUrl.parse(f"{URL}?ssl=verify-ca&ssl_ca={broken}"))


def with_original(error: pymysql.err.OperationalError, original: Exception) -> pymysql.err.OperationalError:
    error.original_exception = original  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "class_", "said"),
    [
        (pymysql.err.OperationalError(1045, "no"), Misconfigured, "refuses user `me`: no"),
        (pymysql.err.OperationalError(1130, "no"), Misconfigured, "refuses user `me`: no"),
        (pymysql.err.OperationalError(3118, "locked"), Misconfigured, "refuses user `me`: locked"),
        (pymysql.err.OperationalError(3159, "no"), Misconfigured, "add `?ssl=required` to its URL"),
        (
            pymysql.err.OperationalError(CR.CR_SSL_CONNECTION_ERROR, "no"),
            Misconfigured,
            "offers no TLS, and its URL says `ssl=required`",
        ),
        (
            with_original(pymysql.err.OperationalError(2003, "self-signed"), ssl.SSLCertVerificationError("x")),
            Misconfigured,
            "is not what `ssl=required` wants (self-signed)",
        ),
        (
            with_original(pymysql.err.OperationalError(2003, "refused"), ConnectionRefusedError()),
            Transient,
            "db.example:3307: refused",
        ),
        (pymysql.err.OperationalError(CR.CR_SERVER_LOST, "lost"), Transient, "db.example:3307: lost"),
    ],
)
def test_what_a_server_answers_says_who_must_act(
    error: pymysql.err.MySQLError, class_: type[Exception], said: str
) -> None:
    found = classified(error, MysqlUrl.parse(f"{URL}?ssl=required"))
    assert type(found) is class_
    assert said in str(found)


def test_an_error_of_a_statement_stays_what_it_is() -> None:
    error = pymysql.err.ProgrammingError(1064, "syntax")
    assert classified(error, MysqlUrl.parse(URL)) is error


@pytest.mark.parametrize(
    ("said", "class_", "advice"),
    [
        ("Cannot replicate because the source purged required binary logs.", Misconfigured, "tailrace epoch raise"),
        (
            "Probably the slave state is too old and required binlog files have been purged",
            Misconfigured,
            "expire_logs",
        ),
        ("Slave has more GTIDs than the master has", Misconfigured, "lacks transactions that capture has read"),
        ("requested to start from GTID 0-1-5, which is not in the master's binlog", Misconfigured, "epoch raise"),
        ("log event entry exceeded max_allowed_packet", Misconfigured, "max_allowed_packet = 1073741824"),
        ("A replica with the same server_uuid/server_id as this replica has connected", Transient, "another capture"),
        ("binlog truncated in the middle of event", Misconfigured, "cannot read its binlog"),
    ],
)
def test_a_binlog_that_cannot_be_sent_says_what_mends_it(said: str, class_: type[Exception], advice: str) -> None:
    found = refusal(b"\xff" + (1236).to_bytes(2, "little") + b"#HY000" + said.encode())
    assert type(found) is class_
    assert said in str(found)
    assert advice in str(found)


def test_a_packet_that_is_no_event_ends_the_stream_for_now() -> None:
    for packet in (b"\xfe\0\0\0\0", b"\xff\x04", b"\xff\x28\x04#HY000something else"):
        assert type(refusal(packet)) is Transient
