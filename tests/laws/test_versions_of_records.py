"""Every version that a record ever had can be made again from the log: the original, each interim one, and the last.

A record is what a conversation knows and where it stands. Each entry is a version; the log is read back from the
database as an auditor would, and each prefix of it gives the version of that time, byte for byte.
"""

from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path

import pytest

from interlock.contracts.canonical import canonical
from interlock.contracts.envelope import Entry, Head, opened
from interlock.contracts.store import Append, FlowRow
from interlock.fsm.conversation import Conversation
from interlock.fsm.evolve import evolve
from interlock.fsm.replay import Recorded
from interlock.persistence.sqlite_store import SqliteStore
from support import golden
from support.golden_many import generated
from support.stores import summary_after


def version_of(conversation: Conversation) -> bytes:
    """What an auditor would ask for: its state, and each fact with its value, or where its text stands."""
    facts = {name: fact.model_dump(mode="json", exclude_none=True) for name, fact in conversation.known.items()}
    return canonical({"facts": facts, "state": conversation.state, "status": conversation.status})


def written(store: SqliteStore, stream: str, recorded: list[Recorded], digest: str) -> Iterator[bytes]:
    """Append the decisions as they were made; gives each version of the record at the time it was written."""
    conversation = Conversation(id=stream)
    head = Head(stream)
    for cause, decision in groupby(recorded, key=lambda one: one.envelope.cause):
        entries = []
        for one in decision:
            envelope = one.envelope
            at = one.data[one.data.index(b'"at":"') + 6 :][:27].decode()
            entries.append(
                Entry(stream, envelope.ver, one.event, at, envelope.key, cause, one.data, one.leaf)
            )  # fmt: skip
            conversation = evolve(conversation, one.event)
            yield version_of(conversation)
        summary = summary_after(entries, flow_digest=digest)
        store.append(Append(entries=tuple(entries), expected=head.length, summary=summary))
        head = Head(stream, entries[-1].version + 1, entries[-1].leaf)


def rebuilt(store: SqliteStore, stream: str) -> Iterator[bytes]:
    """Each version again, from the stored bytes alone."""
    conversation = Conversation(id=stream)
    for entry in store.read(stream):
        conversation = evolve(conversation, opened(entry.data)[1])
        yield version_of(conversation)


def every_version(path: Path, records: int) -> int:
    """How many versions of so many records were made again; none may be another."""
    found, made = golden.read("0.1.0"), 0
    program = golden.program(found.flow, golden.BANK)
    body = canonical(found.flow.written())
    with closing(SqliteStore(path, origin="generated")) as store:
        store.put_flow(FlowRow(found.flow.digest, found.flow.name, found.flow.version, body, "here"))
        then = {
            stream: list(written(store, stream, recorded, found.flow.digest))
            for stream, recorded in generated(found, program, records)
        }
    with closing(SqliteStore(path)) as store:
        for stream, versions in then.items():
            assert list(rebuilt(store, stream)) == versions, stream
            made += len(versions)
    assert any(len(set(versions)) > 3 for versions in then.values())
    return made


def test_every_version_of_a_record_can_be_made_again(tmp_path: Path) -> None:
    assert every_version(tmp_path / "log.db", 40) > 400


@pytest.mark.full
def test_every_version_of_ten_thousand_records_can_be_made_again(tmp_path: Path) -> None:
    """The target of the requirement table."""
    assert every_version(tmp_path / "log.db", 10_000) > 100_000
