"""A log that does not hold what it should: the first broken place is named, and other conversations go on."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.canonical import canonical, leaf_hash
from interlock.contracts.commands import CUSTOMER, Command, Start
from interlock.contracts.envelope import Head, sealed
from interlock.contracts.errors import LogBroken
from interlock.contracts.events import ConversationStarted, Event, TimerSet, TransitionTaken
from interlock.contracts.store import Append, StoredEntry, Summary
from interlock.contracts.values import SubjectId
from interlock.fsm.replay import redecide
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.verify import verify
from interlock.service.clock import ManualClock
from interlock.service.loading import recorded
from interlock.service.runtime import Runtime
from support.runtime import check_log, mini

PROGRAM = mini()
HELPFUL = ScriptedAgent(lambda _: gives(reply="Yes."))
NOW = ManualClock().now()
SOMEBODY = SubjectId("somebody")


class Altered:
    """A store whose disk gives back other bytes than were written, for one entry of the stream `talk`."""

    def __init__(self, store: MemoryStore, version: int, alter: Callable[[bytes], bytes]) -> None:
        self._store, self._version, self._alter = store, version, alter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StoredEntry]:
        return [self._as_read(entry) for entry in self._store.read(stream, after=after, limit=limit)]

    def _as_read(self, entry: StoredEntry) -> StoredEntry:
        if (entry.stream, entry.version) != ("talk", self._version):
            return entry
        data = self._alter(entry.data)
        return entry._replace(data=data, leaf=leaf_hash(data))


def changed(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda data: canonical({**json.loads(data), **fields})


SECOND_SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "duplicate keys": lambda data: b'{"v":1,' + data[1:],
    "spaces": lambda data: data + b" ",
}
"""The same event in other bytes: reading does not look at the form again, verifying does."""
ALTERATIONS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "no JSON": lambda _: b"\xff\xfe",
    "a list": lambda _: b"[]",
    "a number": lambda _: b"1",
    "a float": lambda data: data.replace(b'"ver":1', b'"ver":1.0'),
    "nested": lambda _: b"[" * 100_000 + b"]" * 100_000,
    "a large integer": lambda data: data.replace(b'"ver":1', b'"ver":9007199254740993'),
    "an unknown event": changed(type="refund_issued"),
    "an unknown field": changed(more=1),
    "a schema number that is none": changed(schema="x"),
    "no data": changed(data=None),
    "a stream of another type": changed(stream=5),
    "a field of another type": changed(data={"state": 5, "token_bound": "never"}),
    "cut": lambda data: data[:-10],
}


@pytest.mark.parametrize("name", ALTERATIONS)
async def test_an_entry_that_is_no_event_is_named_and_stops_only_its_conversation(name: str) -> None:
    """`LogBroken` with stream and version; nothing is appended behind it, and the others go on."""
    store = MemoryStore()
    async with Runtime(store, PROGRAM, HELPFUL) as runtime:
        for stream in ("talk", "other"):
            await runtime.start(conversation=stream)
    length = store.head("talk").length
    async with Runtime(Altered(store, 1, ALTERATIONS[name]), PROGRAM, HELPFUL) as runtime:
        for call in (
            lambda: runtime.say("talk", "help"),
            lambda: runtime.outcome("talk"),
            lambda: runtime.start(conversation="talk"),
        ):
            with pytest.raises(LogBroken) as caught:
                await call()
            assert (caught.value.stream, caught.value.version) == ("talk", 1)
            assert "interlock verify" in str(caught.value)
        assert (await runtime.say("other", "help")).state == "more"
    assert store.head("talk").length == length
    broken = verify(Altered(store, 1, ALTERATIONS[name]), streams=["talk"]).first
    assert broken
    assert broken.version in (1, 2)


@pytest.mark.parametrize("name", SECOND_SPELLINGS)
async def test_a_second_spelling_of_an_entry_is_found_by_verifying(name: str) -> None:
    """Even where its leaf was made to fit: only RFC 8785 bytes are an entry."""
    store = MemoryStore()
    async with Runtime(store, PROGRAM, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
    broken = verify(Altered(store, 1, SECOND_SPELLINGS[name])).first
    assert broken
    assert (broken.stream, broken.version) == ("talk", 1)


def forged(*events: Event) -> MemoryStore:
    """A log whose hashes are right and whose events this flow would never have decided."""
    store = MemoryStore()
    command = Command(key="c:start", at=NOW, actor=CUSTOMER, body=Start(flow=PROGRAM.ref, subject=SOMEBODY))
    entries = sealed(events, head=Head("talk"), command=command, flow=PROGRAM.ref.digest, code="forged", log=store.log)
    store.append(
        Append(
            entries=entries,
            expected=0,
            summary=Summary(
                stream="talk",
                flow_name="mini",
                flow_version=1,
                flow_digest=PROGRAM.ref.digest,
                subject=SOMEBODY,
                state="nowhere",
                status="open",
                length=len(entries),
                started_at=entries[0].at,
                updated_at=entries[0].at,
            ),
        )
    )
    return store


def started(state: str) -> ConversationStarted:
    return ConversationStarted(flow=PROGRAM.ref, subject=SOMEBODY, state=state, turn_due=NOW + timedelta(minutes=5))


def moved(target: str) -> TransitionTaken:
    return TransitionTaken(source="start", on="message", target=target, row=0, because="P-1")


FORGERIES: dict[str, tuple[tuple[Event, ...], int]] = {
    "begins in an unknown state": ((started("nowhere"),), 0),
    "moves to an unknown state": ((started("start"), moved("nowhere")), 1),
    "moves there and back": ((started("start"), moved("nowhere"), moved("start")), 1),
    "waits in an unknown state": ((started("start"), TimerSet(state="start", due=NOW), moved("nowhere")), 2),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_state_that_the_flow_does_not_have_is_named(name: str) -> None:
    """The log verifies, for its hashes are right; loading and deciding again say where the unknown state stands."""
    events, version = FORGERIES[name]
    store = forged(*events)
    assert verify(store).ok
    async with Runtime(store, PROGRAM, HELPFUL) as runtime:
        for call in (lambda: runtime.say("talk", "help"), lambda: runtime.outcome("talk")):
            with pytest.raises(LogBroken, match=r"state 'nowhere'.* flow 'mini' v1 does not have") as caught:
                await call()
            assert (caught.value.stream, caught.value.version) == ("talk", version)
        await runtime.start(conversation="other")
        assert (await runtime.say("other", "help")).state == "more"
    check_log(store, PROGRAM, ["other"])
    with pytest.raises(LogBroken, match=r"state 'nowhere'"):
        redecide(PROGRAM, "talk", recorded(store.read("talk")))


async def test_a_forged_move_to_a_known_state_is_found_by_deciding_again() -> None:
    """Hashes that are right prove that nothing changed, not that it was decided so: re-deciding does."""
    store = forged(started("start"), moved("stopped"))
    again = redecide(PROGRAM, "talk", recorded(store.read("talk")))
    assert again.divergences == 1
    assert again.divergence
    assert again.divergence.version == 1
