"""Which requests the console answers."""

import pytest

from tailrace.console.guard import host_of, is_loopback, refusal

TOKEN = "rightrightrightright"
PAGE = {"host": "127.0.0.1:8400", "origin": "http://127.0.0.1:8400"}
CHANGE = {**PAGE, "content-type": "application/json", "x-tailrace-token": TOKEN}


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("192.168.1.4", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("header", "host"),
    [("localhost:8400", "localhost"), ("localhost", "localhost"), ("[::1]:8400", "[::1]"), ("[::1]", "[::1]")],
)
def test_a_host_without_its_port(header: str, host: str) -> None:
    assert host_of(header) == host


def status(method: str, headers: dict[str, str], token: str | None = TOKEN) -> int | None:
    refused = refusal(method, headers, token)
    return None if refused is None else refused.status


@pytest.mark.parametrize("host", ["127.0.0.1:8400", "localhost:8400", "[::1]:8400", "localhost:9000", "localhost"])
def test_reading_needs_a_loopback_host_and_nothing_else(host: str) -> None:
    assert status("GET", {"host": host}) is None
    assert status("GET", {"host": host}, None) is None


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8400", "192.168.1.4:8400", "", "127.0.0.1:8400:1"])
def test_a_name_that_was_rebound_is_refused_even_to_read(host: str) -> None:
    assert status("GET", {"host": host}) == 421
    assert status("POST", {**CHANGE, "host": host, "origin": f"http://{host}"}) == 421


def test_a_change_needs_the_page_the_kind_and_the_token() -> None:
    assert status("POST", CHANGE) is None
    assert status("POST", {**CHANGE, "content-type": "application/json; charset=utf-8"}) is None


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:3000", "https://127.0.0.1:8400"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_page_is_refused(method: str, origin: str) -> None:
    assert status(method, {**CHANGE, "origin": origin}) == 403


@pytest.mark.parametrize("name", ["origin", "content-type", "x-tailrace-token"])
def test_a_change_without_one_of_them_is_refused(name: str) -> None:
    lacking = {key: value for key, value in CHANGE.items() if key != name}
    assert status("POST", lacking) == {"origin": 403, "content-type": 415, "x-tailrace-token": 401}[name]


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ünïcode"])
def test_a_wrong_token_is_refused(token: str) -> None:
    assert status("POST", {**CHANGE, "x-tailrace-token": token}) == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_read_only_means_that_no_token_helps(method: str) -> None:
    assert status(method, CHANGE, None) == 403
    assert status(method, {**CHANGE, "x-tailrace-token": ""}, None) == 403


def test_a_form_of_another_page_cannot_pass_for_a_change() -> None:
    assert status("POST", {**CHANGE, "content-type": "application/x-www-form-urlencoded"}) == 415


def test_another_page_cannot_have_stores_read_but_may_link_here() -> None:
    for site in ("cross-site", "same-site"):
        assert status("GET", {"host": "localhost", "sec-fetch-site": site, "sec-fetch-mode": "no-cors"}) == 403
        assert status("GET", {"host": "localhost", "sec-fetch-site": site, "sec-fetch-mode": "navigate"}) is None
    for site in ("same-origin", "none"):
        assert status("GET", {"host": "localhost", "sec-fetch-site": site, "sec-fetch-mode": "cors"}) is None
