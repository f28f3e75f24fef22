"""A C2SP tlog-policy: which logs, which witnesses, and how many of them must have seen a checkpoint.

```
log <vkey>
witness W1 <vkey> https://witness.example
witness W2 <vkey>
group both all W1 W2
quorum both
```
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...contracts.errors import CallError
from .notes import COSIGNATURE, ED25519, ML_DSA, Note, VerifierKey, verifier_key

NONE = "none"
AHEAD = 300
"""Seconds by which a witness's clock may be ahead of ours."""


@dataclass(frozen=True, slots=True)
class Witness:
    name: str
    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Counts as having seen a checkpoint if `least` of its members have."""

    least: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom to believe. `quorum` names a witness or a group, or is `none`."""

    logs: tuple[VerifierKey, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    groups: dict[str, Group] = field(default_factory=dict)
    quorum: str = NONE

    def cosigned(self, note: Note) -> dict[str, int]:
        """The witnesses that have seen the checkpoint, with when (seconds since 1970). A time that has not come is
        none."""
        latest = time.time() + AHEAD
        found = {one.name: [at for at in note.cosigned_times(one.key) if at <= latest] for one in self.witnesses}
        return {name: max(times) for name, times in found.items() if any(times)}

    def ahead(self, note: Note) -> list[str]:
        """The witnesses that signed with a time that has not come: that counts for nothing."""
        latest = time.time() + AHEAD
        return [one.name for one in self.witnesses if any(at > latest for at in note.cosigned_times(one.key))]

    def forged(self, note: Note) -> list[str]:
        """The witnesses in whose name, and under whose key's id, a line stands that is not theirs."""
        lines = {(one.name, one.key_id) for one in note.signatures}
        named = [one for one in self.witnesses if (one.key.name, one.key.id) in lines]
        return [one.name for one in named if note.cosigned_at(one.key) is None]

    def has_quorum(self, seen: Sequence[str] | dict[str, int]) -> bool:
        """Whether these witnesses are enough. Never with `quorum none`: nobody has seen it then."""
        return self.quorum != NONE and self._counts(self.quorum, set(seen))

    def _counts(self, name: str, seen: set[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in seen
        return sum(self._counts(member, seen) for member in group.members) >= group.least

    def __str__(self) -> str:
        lines = [f"log {key}" for key in self.logs]
        lines += [f"witness {one.name} {one.key}" + (f" {one.url}" if one.url else "") for one in self.witnesses]
        lines += [f"group {name} {one.least} {' '.join(one.members)}" for name, one in self.groups.items()]
        return "\n".join([*lines, f"quorum {self.quorum}", ""])


def policy_of(text: str) -> Policy:
    """The policy that a file's text says. Raises `CallError` naming the line that cannot be read."""
    reading = _Reading()
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            try:
                reading.line(words)
            except (_Wrong, CallError) as error:
                raise CallError(
                    f"The policy cannot be read: {error.args[0]}.",
                    where=f"line {number}",
                    fix="Write it as c2sp.org/tlog-policy says: log, witness, group and one quorum line.",
                ) from error
    if reading.quorum is None:
        raise CallError("The policy has no quorum line.", fix="End it with `quorum none` or the name of a group.")
    return Policy(tuple(reading.logs), tuple(reading.witnesses), reading.groups, reading.quorum)


class _Wrong(Exception):
    pass


class _Reading:
    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: list[Witness] = []
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self.grouped: set[str] = set()

    def line(self, words: list[str]) -> None:
        match words:
            case ["log", key] | ["log", key, _]:
                self.logs.append(self._fresh(key, (ED25519, ML_DSA), [one.public for one in self.logs]))
            case ["witness", name, key, *url] if len(url) < 2:
                keys = [one.key.public for one in self.witnesses]
                self._new(name)
                self.witnesses.append(Witness(name, self._fresh(key, (COSIGNATURE, ML_DSA), keys), *url))
            case ["group", name, least, *members] if members:
                self._group(name, least, members)
            case ["quorum", name]:
                if self.quorum is not None:
                    raise _Wrong("there are two quorum lines")
                if name != NONE and name not in self._names():
                    raise _Wrong(f"{name!r} is not defined above")
                self.quorum = name
            case _:
                raise _Wrong(f"{' '.join(words)[:60]!r} is none of its lines")

    def _group(self, name: str, least: str, members: list[str]) -> None:
        self._new(name)
        for member in members:
            if member not in self._names():
                raise _Wrong(f"{member!r} is not defined above")
            if member in self.grouped:
                raise _Wrong(f"{member!r} is in two groups")
            self.grouped.add(member)
        count = {"all": len(members), "any": 1}.get(least) or (int(least) if least.isdecimal() else 0)
        if not 1 <= count <= len(members):
            raise _Wrong(f"{least!r} of {len(members)} members cannot be")
        self.groups[name] = Group(count, tuple(members))

    def _names(self) -> set[str]:
        return {*self.groups, *(one.name for one in self.witnesses)}

    def _new(self, name: str) -> None:
        if name == NONE or name in self._names():
            raise _Wrong(f"the name {name!r} is taken")

    def _fresh(self, text: str, kinds: tuple[int, ...], known: list[bytes]) -> VerifierKey:
        key = verifier_key(text)
        if key.kind not in kinds:
            raise _Wrong(f"the key of {key.name!r} is of type {key.kind}, not {' or '.join(map(str, kinds))}")
        if key.public in known:
            raise _Wrong(f"the key of {key.name!r} is there already")
        return key
