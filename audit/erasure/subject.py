"""The persons that a search is about, and telling whose a value, a row or a record is: pure but for its hashes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from audit.erasure.plan import Step
from audit.erasure.secret import Secret
from audit.receipt import Sought
from audit.search.needle import Needle
from audit.search.needles import Needles
from changes.envelope import decode_key
from changes.progress import KeyValue


@dataclass
class Subject:
    """One person: ``who`` is the keyed hash of their id, ``keys`` those of deleted rows by table."""

    who: str
    needles: list[Needle]
    keys: dict[str, frozenset[str]]
    shared: set[int] = field(default_factory=set)
    """Groups of needles that others hold too: they tell of nobody."""

    @classmethod
    def of(cls, who: str, sought: Sought) -> "Subject":
        return cls(who, sought.needles, {table: frozenset(keys) for table, keys in sought.keys.items()})

    def sought(self, left_out: int) -> Sought:
        kept = [one for one in self.needles if one.group not in self.shared]
        groups = {one.group for one in self.needles}
        keys = {table: sorted(found) for table, found in self.keys.items()}
        return Sought(kept, keys, left_out, len(groups & self.shared))


class Subjects:
    """Several persons, looked for at once."""

    def __init__(self, version: str, secret: Secret, steps: Sequence[Step], subjects: Sequence[Subject]) -> None:
        self.all = subjects
        self.steps = {step.table: step for step in steps}
        self._version, self._secret = version, secret
        self._by_who = {subject.who: subject for subject in subjects}
        self._by_key = {
            (table, key): subject for subject in subjects for table, keys in subject.keys.items() for key in keys
        }
        self._owners: dict[object, Subject | None] = {}
        self._indexed = [(subject, one) for subject in subjects for one in subject.needles]
        self._forms: dict[tuple[str, int], list[int]] = {}
        for index, (subject, one) in enumerate(self._indexed):
            self._forms.setdefault((subject.who, one.group), []).append(index)
        self.needles = Needles(secret.search, [one for _, one in self._indexed])

    def at(self, index: int) -> tuple[Subject, Needle]:
        """Whose needle has that index among `needles`, and the needle."""
        return self._indexed[index]

    def counts(self, index: int) -> bool:
        """Whether it tells whose it is."""
        subject, one = self._indexed[index]
        return one.group not in subject.shared

    def share(self, indexes: Iterable[int]) -> None:
        """Others hold these too: in whichever way they are written, they are looked for no longer."""
        for index in indexes:
            subject, one = self._indexed[index]
            subject.shared.add(one.group)
            self.needles.leave_out(self._forms[subject.who, one.group])

    def owner(self, value: object) -> Subject | None:
        """Who has that id."""
        if value is None:
            return None
        if value not in self._owners:
            if len(self._owners) >= 1 << 16:
                self._owners.clear()
            self._owners[value] = self._by_who.get(self._secret.who(self._version, str(value)))
        return self._owners[value]

    def of_row(self, table: str, key: bytes, row: Mapping[str, object]) -> Subject | None:
        """Whose row it is: by its owner, where the rows of ``table`` are not kept, or by its key, the Kafka key of its
        table's records, where it does not say who owns it."""
        step = self.steps.get(table)
        owner = None if step is None else row.get(step.by)
        if owner is not None:
            return self.owner(owner) if step is not None and goes(step) else None
        return self._by_key.get((table, self._secret.key(table, key)))


def goes(step: Step) -> bool:
    """Whether a person's rows of a table are theirs no longer behind the step."""
    return step.rows == "delete" or (step.rows == "clear" and step.by in step.set)


def row_key(key: bytes, names: Sequence[str]) -> bytes:
    """The key of the row that a record of an enriched topic was made of; ``key`` itself where it is none of ours."""
    try:
        values: dict[str, KeyValue] = decode_key(key)
        return msgspec.json.encode({name: values[name] for name in names})
    except (msgspec.MsgspecError, KeyError):
        return key
