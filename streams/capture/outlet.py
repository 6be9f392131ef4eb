"""Transactional producers: confluent-kafka's, and the native one that takes whole batches.

Both are librdkafka, with the same settings. Each raises `KafkaException` for what fails.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from changes.envelope import Headers
from changes.progress import Offsets
from streams.capture.batch import Batch
from streams.capture.layouts import Layouts

RecordHeaders = list[tuple[str, bytes]]


class Outlet(Protocol):
    """Not safe for use from several threads. Seconds are how long a call may take."""

    def init(self, seconds: float) -> None:
        """Shut out every earlier producer with the same transactional id."""

    def begin(self) -> None: ...

    def produce(self, topic: str, key: bytes, value: bytes | None, headers: RecordHeaders) -> None: ...

    def send(self, batch: Batch, layouts: Layouts, leave_out: Collection[int]) -> None:
        """A batch's records, but for those with these indexes."""

    def flush(self, seconds: float) -> bool:
        """Whether everything was delivered."""

    def ends(self) -> Offsets:
        """Offsets behind the last records delivered since this was last asked."""

    def commit(self, seconds: float) -> None: ...

    def abort(self, seconds: float) -> None: ...

    def close(self) -> None:
        """Give up what is not delivered."""


class ConfluentOutlet:
    """confluent-kafka's producer."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._producer = Producer(dict(settings))
        self._ends: Offsets = {}
        self._failed: KafkaError | None = None

    def init(self, seconds: float) -> None:
        self._producer.init_transactions(seconds)

    def begin(self) -> None:
        self._producer.begin_transaction()

    def produce(self, topic: str, key: bytes, value: bytes | None, headers: RecordHeaders) -> None:
        while True:
            try:
                self._producer.produce(topic, key=key, value=value, headers=[*headers], on_delivery=self._delivered)
                break
            except BufferError:  # the local queue is full: let deliveries drain it
                self._poll(0.1)
                self._raise_if_failed()
        self._poll(0)

    def send(self, batch: Batch, layouts: Layouts, leave_out: Collection[int]) -> None:
        for index, (layout, key, value, at, hash_) in enumerate(batch.messages(0, len(batch))):
            if index not in leave_out:
                plan = layouts[layout]
                self.produce(plan.topic, key, value, Headers(at, hash_, plan.fingerprint).to_kafka())

    def flush(self, seconds: float) -> bool:
        with _fatal():
            left = self._producer.flush(seconds)
        self._raise_if_failed()
        return not left

    def ends(self) -> Offsets:
        ends, self._ends = self._ends, {}
        return ends

    def commit(self, seconds: float) -> None:
        self._producer.commit_transaction(seconds)
        self._raise_if_failed()

    def abort(self, seconds: float) -> None:
        self._producer.abort_transaction(seconds)

    def close(self) -> None:
        self._producer.purge()
        self._producer.flush(1.0)

    def _poll(self, seconds: float) -> None:
        with _fatal():
            self._producer.poll(seconds)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if error is not None:
            self._failed = self._failed or error
        elif topic is not None and partition is not None and offset is not None:
            self._ends[topic, partition] = offset + 1

    def _raise_if_failed(self) -> None:
        if self._failed is not None:
            raise KafkaException(self._failed)


@contextmanager
def _fatal() -> Iterator[None]:
    """Raises a fatal error as what it is: the library raises it and goes on to call back for deliveries, which Python
    takes for a `SystemError`."""
    try:
        yield
    except SystemError as error:
        if isinstance(error.__cause__, KafkaException):
            raise error.__cause__ from None
        raise


class NativeOutlet:
    """A producer of ``tailrace_native``, on the librdkafka that confluent-kafka has loaded."""

    def __init__(self, module: ModuleType, library: Path, settings: Mapping[str, Any]) -> None:
        self._outlet: Any = module.Outlet(str(library), [(name, _word(value)) for name, value in settings.items()])

    def init(self, seconds: float) -> None:
        _raise(self._outlet.init(_ms(seconds)))

    def begin(self) -> None:
        _raise(self._outlet.begin())

    def produce(self, topic: str, key: bytes, value: bytes | None, headers: RecordHeaders) -> None:
        _raise(self._outlet.produce(topic, key, value, headers))

    def send(self, batch: Batch, layouts: Layouts, leave_out: Collection[int]) -> None:
        for number in batch.layouts:
            if not self._outlet.knows(number):
                plan = layouts[number]
                _raise(self._outlet.show(number, plan.topic, plan.fingerprint.encode()))
        _raise(self._outlet.send(batch, sorted(leave_out)))

    def flush(self, seconds: float) -> bool:
        done: bool = self._outlet.flush(_ms(seconds))
        _raise(self._outlet.failed())
        return done

    def ends(self) -> Offsets:
        return {(topic, partition): end for topic, partition, end in self._outlet.ends()}

    def commit(self, seconds: float) -> None:
        _raise(self._outlet.commit(_ms(seconds)))
        _raise(self._outlet.failed())

    def abort(self, seconds: float) -> None:
        _raise(self._outlet.abort(_ms(seconds)))

    def close(self) -> None:
        self._outlet.close()


def _raise(told: tuple[int, str, bool] | None) -> None:
    if told is not None:
        code, text, fatal = told
        raise KafkaException(KafkaError(code, text, fatal))


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def loaded_librdkafka(maps: Path = Path("/proc/self/maps")) -> Path | None:
    """The file of the librdkafka that this process has loaded, where it is one and the system tells."""
    try:
        lines = maps.read_text().splitlines()
    except OSError:
        return None
    return next((Path(line.split(maxsplit=5)[5]) for line in lines if "/librdkafka" in line), None)


def outlet_of(module: ModuleType | None, settings: Mapping[str, Any]) -> Outlet:
    """The native producer where there is a ``module`` and the library is found, else confluent-kafka's."""
    library = loaded_librdkafka() if module is not None else None
    if module is None or library is None:
        return ConfluentOutlet(settings)
    return NativeOutlet(module, library, settings)
