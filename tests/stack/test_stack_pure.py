"""What the stack decides without starting anything."""

import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tailrace.stack import apt, endpoints, mysql, places, postgres, process, state
from tailrace.stack.errors import StackError, Unavailable
from tailrace.stack.fetch import fetched
from tailrace.stack.files import try_lock, write_private
from tailrace.stack.host import Host, last_words
from tailrace.stack.kafka import Kafka, properties
from tailrace.stack.redis import Redis
from tailrace.stack.settings import PORTS, Settings
from tailrace.stack.stack import Stack
from tailrace.stack.state import Running, State
from tailrace.stack.supervise import FIRST_DELAY_S, LONGEST_DELAY_S, Delays


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "cache", os.environ, lambda _: None)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_follow_the_environment() -> None:
    assert places.cache_folder({"TAILRACE_CACHE": "/a"}) == Path("/a")
    assert places.cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/tailrace")
    assert places.state_folder({"XDG_STATE_HOME": "/c"}) == Path("/c/tailrace")
    assert places.state_folder({}) == Path.home() / ".local/state/tailrace"
    assert places.stack_folder("demo", {"TAILRACE_HOME": "/d"}) == Path("/d/demo")
    assert places.stack_folder("/somewhere/else", {"TAILRACE_HOME": "/d"}) == Path("/somewhere/else")


def test_an_endpoint_in_the_environment_is_taken_and_an_empty_one_is_not() -> None:
    environ = {"FUTURE_MYSQL_URL": "mysql://u:p@h/d", "FUTURE_REDIS_URL": "", "DAO_REDIS_URL": "redis://x"}
    assert endpoints.given(environ, "future") == {"mysql": "mysql://u:p@h/d"}
    assert endpoints.given(environ, "dao") == {"redis": "redis://x"}


@pytest.mark.parametrize("name", ["", "Future", "a-b", "admin", "../x", "1st"])
def test_a_version_that_would_break_other_names_is_refused(name: str) -> None:
    with pytest.raises(StackError, match="cannot name a version"):
        endpoints.check_versions(["future", name])


def test_with_every_endpoint_given_nothing_is_started(tmp_path: Path) -> None:
    urls = {kind: f"{kind}://given" for kind in ("mysql", "kafka", "postgres", "redis")}
    environ = {endpoints.variable("future", kind): url for kind, url in urls.items()}
    stack = Stack(tmp_path / "s", environ={**os.environ, **environ}, report=lambda _: None)
    assert stack.up() == {"future": {**urls, "sqlite": str(tmp_path / "s" / "future.sqlite")}}
    assert stack.admin() == {"future": {}}
    assert stack.pids() == {}
    with pytest.raises(StackError, match=f"supervised by process {os.getpid()}"):
        Stack(tmp_path / "s", environ={**os.environ, **environ}, report=lambda _: None).up()
    stack.down()
    assert Stack.running(tmp_path / "s") is None


def test_state_survives_its_file(tmp_path: Path) -> None:
    one = Running(process.Identity(7, "boot/9"), 20001, "f00d", "SIGINT")
    before = State(("future",), process.Identity(1, "boot/2"), {"kafka": one}, {"future": {"redis": "redis://"}})
    state.save(tmp_path, before)
    assert state.load(tmp_path) == before
    assert mode(tmp_path / state.FILE) == 0o600


def test_a_damaged_state_file_is_named(tmp_path: Path) -> None:
    write_private(tmp_path / state.FILE, "{")
    with pytest.raises(StackError, match=r"state\.json"):
        state.load(tmp_path)


def test_passwords_and_ports_are_kept_and_private(tmp_path: Path) -> None:
    first = Settings(tmp_path)
    password, port = first.password("kafka.future"), first.port("kafka")
    again = Settings(tmp_path)
    assert (again.password("kafka.future"), again.port("kafka")) == (password, port)
    assert again.passwords("kafka.") == {"future": password}
    assert port in PORTS
    assert len({again.port(str(n)) for n in range(50)} | {port}) == 51
    assert mode(tmp_path / "settings.json") == 0o600


def test_a_reused_number_is_never_signalled() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        now = process.identify(child.pid)
        assert now is not None
        earlier = process.Identity(child.pid, "another boot/1")
        assert not process.alive(earlier)
        assert not process.send(earlier, signal.SIGKILL)
        assert process.wait_gone(earlier, 0)
        assert process.session(earlier) == []
        assert process.alive(now)
        assert not process.wait_gone(now, 0)
        assert process.send(now, signal.SIGKILL)
        assert process.wait_gone(now, 10)
        assert not process.alive(now)  # though not reaped yet
        assert not process.send(now, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL


def test_what_a_killed_server_left_behind_is_killed_too(tmp_path: Path) -> None:
    words = ["sh", "-c", "sleep 600 & echo $!; exec sleep 600"]
    with process.launch(process.Command(words, cwd=tmp_path), {"PATH": os.environ["PATH"]}, tmp_path / "log") as leader:
        identity = process.identify(leader.pid)
        assert identity is not None
        while not (text := (tmp_path / "log").read_text()):
            assert leader.poll() is None
        orphan = process.identify(int(text))
        assert orphan is not None
        process.send(identity, signal.SIGKILL)
        leader.wait()
        process.kill_session(identity)
        assert process.wait_gone(orphan, 10)


def test_a_download_is_whole_or_absent_and_happens_once(host: Host) -> None:
    built = []

    def broken(folder: Path) -> None:
        (folder / "half").touch()
        raise Unavailable("no network")

    def whole(folder: Path) -> None:
        built.append(folder)
        (folder / "all").touch()

    with pytest.raises(Unavailable, match="no network"):
        fetched(host, "thing", broken, what="a thing", megabytes=1)
    (host.cache / ".thing.new.killed").mkdir()
    threads = [
        threading.Thread(target=fetched, args=(host, "thing", whole), kwargs={"what": "a thing", "megabytes": 1})
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert sorted(p.name for p in host.cache.iterdir()) == [".thing.lock", "thing"]
    with pytest.raises(Unavailable, match="make room"):
        fetched(host, "huge", whole, what="a huge thing", megabytes=10**9)


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    holder = try_lock(tmp_path / "lock")
    assert holder is not None
    assert try_lock(tmp_path / "lock") is None
    os.close(holder)
    again = try_lock(tmp_path / "lock")
    assert again is not None
    os.close(again)


def test_a_program_that_fails_is_quoted(host: Host) -> None:
    with pytest.raises(StackError, match="trying failed: E: no such package"):
        host.run(["sh", "-c", "echo 'E: no such package' >&2; echo more >&2; exit 3"], what="trying")
    with pytest.raises(StackError, match="trying failed"):
        host.run(["/does/not/exist"], what="trying")
    host.cancelled.set()
    with pytest.raises(StackError, match="run the same command again"):
        host.run(["true"], what="trying")
    assert last_words("a\ncp: No space left on device\nb") == "cp: No space left on device"


def test_of_a_package_s_dependencies_only_libraries_are_fetched() -> None:
    plan = "\n".join(
        [
            "Inst libc6 [2.36] (2.43-7 Debian:unstable [amd64])",
            "Inst perl (5.40 Debian:unstable [amd64])",
            "Inst libperl5.40 (5.40 Debian:unstable [amd64])",
            "Inst mysql-server-core (9.7.4-2 Debian:unstable [amd64])",
            "Conf libc6 (2.43-7 Debian:unstable [amd64])",
        ]
    )
    assert apt.wanted(plan, ["mysql-server-core"]) == ["libc6=2.43-7", "mysql-server-core=9.7.4-2"]


def test_mysql_grants_do_not_reach_databases_of_similar_names() -> None:
    statements = mysql.accounts("jobfirst_future", "r", "u")
    assert "GRANT ALL ON `jobfirst\\_future`.* TO 'tailrace'@'127.0.0.1';" in statements
    assert not any("\n" in statement for statement in statements)


def test_kafka_asks_for_a_password_on_every_listener() -> None:
    text = properties(Path("/d"), 1, 2, {"admin": "a", "future": "b"})
    assert "listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT\n" in text
    assert 'user_admin="a" user_future="b";' in text


def test_urls_and_fingerprints(host: Host, tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    kafka = Kafka(host, settings, tmp_path, ("future", "dao"))
    assert kafka.endpoint("dao") == f"kafka://dao:{settings.password('kafka.dao')}@127.0.0.1:{settings.port('kafka')}"
    redis = Redis(host, settings, tmp_path, "future")
    assert redis.endpoint("future").endswith(f"@127.0.0.1:{settings.port('future.redis')}/0")
    assert redis.endpoint("dao").endswith("/3")
    assert redis.fingerprint() == Redis(host, Settings(tmp_path), tmp_path, "future").fingerprint()
    assert redis.fingerprint() != Redis(host, settings, tmp_path, "dao").fingerprint()


def test_a_server_that_keeps_dying_is_restarted_ever_more_slowly() -> None:
    now = 0.0
    delays = Delays(lambda: now)
    seen = []
    for _ in range(10):
        seen.append(delays.after_death("kafka"))
        now += 1
    assert seen[:3] == [FIRST_DELAY_S, 2 * FIRST_DELAY_S, 4 * FIRST_DELAY_S]
    assert seen[-1] == LONGEST_DELAY_S
    assert delays.after_death("redis") == FIRST_DELAY_S
    now += 1000
    assert delays.after_death("kafka") == FIRST_DELAY_S


def test_data_whose_stack_is_gone_is_discarded_once_by_whoever_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "SHARED", tmp_path)
    kept = tmp_path / "kept"
    for number in range(40):
        place = tmp_path / f"place{number}"
        place.mkdir()
        (place / "origin").write_text(str(tmp_path / f"gone{number}") if number else str(tmp_path))
    kept.mkdir()
    told: list[str] = []
    together = threading.Barrier(8)

    def discard() -> None:
        together.wait()
        postgres.discard_orphans(told.append)

    with ThreadPoolExecutor(8) as pool:
        for one in [pool.submit(discard) for _ in range(8)]:
            one.result()
    assert len(told) == 39
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["kept", "place0"]
