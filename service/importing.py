"""Conversations of other programs brought into the log: marked as imported, and each of them once.

A record's stream is named after its digest, so importing a file again, whole or after a break, adds what is
missing and nothing twice. One record is one append: it is there whole or not at all.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal
from uuid import UUID

from ..contracts.commands import CUSTOMER, SYSTEM, Actor
from ..contracts.envelope import Brought, Entry, Head, opened, sealed
from ..contracts.errors import CallError, ConversationArchived, NotEncodable, StreamMoved
from ..contracts.imported import (
    IMPORTED,
    AnsweredCall,
    ConversationImported,
    ImportedCall,
    ImportFormat,
    MessageImported,
)
from ..contracts.marks import MarkSet, Side
from ..contracts.payload import Payload, PayloadClass, PayloadRef, bytes_of
from ..contracts.store import Append, Store
from ..contracts.values import NAME, SubjectId
from ..fsm.evolve import fold
from ..fsm.marking import Marking
from .clock import Clock, SystemClock, minted
from .codes import CODE
from .foreign import ForeignConversation, ForeignMessage
from .foreign_files import Read, records
from .projection import summary_of
from .redactor import Redactor

RECORD_VERSION = 8
"""Of the UUIDs that imported streams are named by."""
MOST_REPORTED = 1_000
"""Malformed records that are reported one by one; all are counted."""
_TOGETHER = 64
"""Appends that wait for one commit."""
_SIDES: dict[str, Side] = {"user": "customer", "assistant": "agent", "system": "system", "developer": "system"}
_AGENT = Actor(kind="agent", id="imported")
_TOOL = Actor(kind="tool", id="imported")
_REDACTOR = Redactor()
_ACTORS = {"user": CUSTOMER, "assistant": _AGENT, "tool": _TOOL, "function": _TOOL}


@dataclass(frozen=True, slots=True)
class Fault:
    """A record that was not imported: its file, its number there, and what is wrong."""

    file: str
    number: int
    what: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `known` were in the log already; `otherwise_marked` of them with other marks."""

    streams: int = 0
    messages: int = 0
    calls: int = 0
    known: int = 0
    otherwise_marked: int = 0
    malformed: int = 0
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is: bytes of all files together."""

    read: int
    total: int
    records: int


class ImportRefused(CallError):
    """A record is malformed, and nothing was imported; `faults` are the records."""

    code = "import_refused"

    def __init__(self, faults: Sequence[Fault], malformed: int) -> None:
        self.faults, self.malformed = tuple(faults), malformed
        first = self.faults[0]
        super().__init__(
            f"{malformed} record{'s are' if malformed > 1 else ' is'} malformed, and nothing was imported. "
            f"The first is number {first.number}: {first.what}",
            where=first.file,
            fix="Mend the file, or leave such records out with --skip.",
        )


def import_files(
    store: Store,
    paths: Sequence[Path],
    kind: ImportFormat,
    *,
    marks: MarkSet | None = None,
    skip: bool = False,
    clock: Clock | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Imported:
    """Bring every record of the files into the log; durable on return.

    Malformed records are skipped, or (`skip` False) all files are read first and `ImportRefused` is raised with
    nothing imported. Raises `CallError` where a file cannot be read. Memory is that of the largest records.
    """
    total = sum(_size(path) for path in paths)
    if not skip:
        checked = _checked(paths, kind)
        if checked.malformed:
            raise ImportRefused(checked.faults, checked.malformed)
    bringing = _Bringing(store, marks or MarkSet(), clock or SystemClock())
    before = records_read = 0
    for path in paths:
        for read in records(path, kind):
            records_read += 1
            bringing.take(str(path), read)
            if progress is not None:
                progress(Progress(before + read.upto, total, records_read))
        before += _size(path)
    return bringing.done()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise CallError(
            f"The file cannot be read: {error.strerror}.", where=str(path), fix="Check its path and permissions."
        ) from error


def _checked(paths: Sequence[Path], kind: ImportFormat) -> Imported:
    found = Imported()
    for path in paths:
        for read in records(path, kind):
            if read.problem:
                found = _with_fault(found, Fault(str(path), read.number, read.problem))
    return found


def _with_fault(found: Imported, fault: Fault) -> Imported:
    faults = (*found.faults, fault) if len(found.faults) < MOST_REPORTED else found.faults
    return replace(found, malformed=found.malformed + 1, faults=faults)


def stream_of(record: str) -> str:
    """The stream that a record of this digest has: a UUID, the same for the same record."""
    number = int(record[:32], 16)
    number = number & ~(0xF000 << 64) & ~(0xC000 << 48) | RECORD_VERSION << 76 | 0x8000 << 48
    return str(UUID(int=number))


class _Bringing:
    """Appends conversations, several in one commit, and counts."""

    def __init__(self, store: Store, marks: MarkSet, clock: Clock) -> None:
        self._store, self._marks, self._clock = store, marks, clock
        self._waiting: deque[tuple[str, Future[int]]] = deque()
        self._in_hand: set[str] = set()
        self._found = Imported()

    def take(self, file: str, read: Read) -> None:
        conversation = read.conversation
        if conversation is None:
            self._found = _with_fault(self._found, Fault(file, read.number, read.problem))
            return
        stream = stream_of(conversation.record)
        if stream in self._in_hand or self._is_there(stream):
            self._found = replace(self._found, known=self._found.known + 1)
            return
        try:
            append = appended(self._store, stream, conversation, self._marks, self._clock)
        except NotEncodable as error:
            self._found = _with_fault(self._found, Fault(file, read.number, error.what))
            return
        self._in_hand.add(stream)
        self._waiting.append((stream, self._store.enqueue(append)))
        self._found = replace(
            self._found,
            streams=self._found.streams + 1,
            messages=self._found.messages + len(conversation.messages),
            calls=self._found.calls + sum(len(one.calls) for one in conversation.messages),
        )
        while len(self._waiting) > _TOGETHER:
            self._settle()

    def done(self) -> Imported:
        while self._waiting:
            self._settle()
        return self._found

    def _settle(self) -> None:
        stream, future = self._waiting.popleft()
        try:
            future.result()
        except StreamMoved:  # another import of the same record came first
            self._found = replace(self._found, streams=self._found.streams - 1, known=self._found.known + 1)
        self._in_hand.discard(stream)

    def _is_there(self, stream: str) -> bool:
        try:
            entries = self._store.read(stream, limit=1)
        except ConversationArchived:
            return True
        if not entries:
            return False
        _, event = opened(entries[0].data)
        if isinstance(event, ConversationImported) and (event.marks or MarkSet().digest) != self._marks.digest:
            self._found = replace(self._found, otherwise_marked=self._found.otherwise_marked + 1)
        return True


# -- one conversation ------------------------------------------------------------------------------------


def appended(store: Store, stream: str, conversation: ForeignConversation, marks: MarkSet, clock: Clock) -> Append:
    """The conversation as the entries of a new stream. Raises `NotEncodable` where a message has no room in one."""
    head, entries = Head(stream), list[Entry]()
    now = clock.now()
    told = chain([_beginning(stream, conversation, marks)], _messages(conversation, marks))
    for number, (actor, event, payloads) in enumerate(told):
        made = sealed(
            [event],
            head=head,
            command=Brought(f"import:{number}", now, actor),
            flow=IMPORTED.digest,
            code=CODE,
            log=store.log,
            payloads=payloads,
        )
        entries.extend(made)
        head = Head(stream, len(entries), made[-1].leaf)
    folded = fold(stream, (entry.event for entry in entries))
    return Append(tuple(entries), 0, summary_of(folded, entries[-1].at, entries[0].at, ""))


_Told = tuple[Actor, ConversationImported | MessageImported, list[Payload]]


def _beginning(stream: str, conversation: ForeignConversation, marks: MarkSet) -> _Told:
    payloads: list[Payload] = []
    about = json.dumps(dict(conversation.about), ensure_ascii=False, sort_keys=True) if conversation.about else None
    event = ConversationImported(
        format=conversation.format,
        record=conversation.record,
        subject=SubjectId(stream),
        messages=len(conversation.messages),
        about=_kept(payloads, "about", "result", about),
        marks=marks.digest if marks.marks else None,
    )
    return SYSTEM, event, payloads


def _messages(conversation: ForeignConversation, marks: MarkSet) -> Iterator[_Told]:
    marking = Marking(marks)
    for message in conversation.messages:
        payloads: list[Payload] = []
        answered = _answered(conversation, message)
        marked: tuple[str, ...] = ()
        if answered is not None:
            marked = marking.result(answered[1], message.text or "", message.failed)
        elif message.role in _SIDES:
            marked = marking.message(_SIDES[message.role], message.text or "", len(message.calls))
        event = MessageImported(
            role=message.role,
            text=_kept(payloads, "text", _text_kind(message.role), message.text),
            refusal=_kept(payloads, "refusal", "reply", message.refusal),
            name=_kept(payloads, "name", "message", message.name or None),
            parts=message.parts,
            calls=tuple(_call(payloads, number, message, marking) for number in range(len(message.calls))),
            answers=answered[0] if answered else None,
            failed=message.failed,
            at=message.at,
            marks=marked,
        )
        yield _ACTORS.get(message.role, SYSTEM), event, payloads


def _answered(conversation: ForeignConversation, message: ForeignMessage) -> tuple[AnsweredCall, str] | None:
    """The call that the message answers, and the tool's name as the record has it."""
    if message.answers is None:
        return None
    index, position = message.answers
    tool = conversation.messages[index].calls[position].name
    # The conversation's beginning is entry 0, so a message's entry is one further on.
    by: Literal["agent", "customer"] = "customer" if conversation.messages[index].role == "user" else "agent"
    named = tool if NAME.fullmatch(tool) else None
    return AnsweredCall(version=index + 1, position=position, tool=named, by=by), tool


def _call(payloads: list[Payload], number: int, message: ForeignMessage, marking: Marking) -> ImportedCall:
    call = message.calls[number]
    is_name = NAME.fullmatch(call.name) is not None
    kept = minted(f"call.{number}", "arguments", bytes_of(_REDACTOR.written(call.arguments)))
    payloads.append(kept)
    return ImportedCall(
        tool=call.name if is_name else None,
        name=None if is_name else _kept(payloads, f"call.{number}.name", "arguments", call.name),
        arguments=kept.ref,
        marks=marking.call(call.name, call.arguments),
    )


def _text_kind(role: str) -> PayloadClass:
    return "reply" if role == "assistant" else "result" if role in ("tool", "function") else "message"


def _kept(payloads: list[Payload], name: str, kind: PayloadClass, text: str | None) -> PayloadRef | None:
    if text is None:
        return None
    payload = minted(name, kind, bytes_of(_REDACTOR.written(text)))
    payloads.append(payload)
    return payload.ref
