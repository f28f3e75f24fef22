"""Conversations led elsewhere: every shape of a chat record, what is malformed and where, each record once."""

import json
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from interlock.contracts.commands import SYSTEM
from interlock.contracts.envelope import Brought, Head, opened, sealed
from interlock.contracts.errors import CallError, LogBroken
from interlock.contracts.events import MessageTaken
from interlock.contracts.imported import IMPORTED, ConversationImported, MessageImported, words_of
from interlock.contracts.marks import MarkSet, MarkSpec
from interlock.contracts.payload import PayloadAt
from interlock.contracts.store import Append
from interlock.fsm.evolve import fold
from interlock.fsm.replay import Recorded, redecide
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.auditing import audited
from interlock.service.importing import Imported, ImportRefused, import_files, stream_of
from interlock.service.loading import recorded
from interlock.service.project import load_project
from interlock.service.projection import summary_of
from interlock.service.runtime import Runtime

EVERYTHING: dict[str, Any] = {
    "id": "chatcmpl-1",
    "tools": [{"type": "function", "function": {"name": "find_order"}}],
    "messages": [
        {"role": "developer", "content": "Be short."},
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}, {"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "name": "maria",
            "content": [
                {"type": "text", "text": "Where is it?"},
                {"type": "image_url", "image_url": {"url": "data:"}},
                {"type": "weird kind"},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "find_order", "arguments": '{"order": "X1"}'}},
                {"id": "b", "type": "function", "function": {"name": "mcp.find-it", "arguments": "not json"}},
            ],
        },
        {"role": "tool", "tool_call_id": "b", "content": "second"},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "first"}]},
        {"role": "assistant", "content": None, "function_call": {"name": "pay", "arguments": "{}"}},
        {"role": "function", "name": "pay", "content": "paid"},
        {"role": "assistant", "content": None, "refusal": "I cannot help with that."},
        {"role": "user", "content": "yes\u0000\ud800"},
        {"role": "assistant", "content": ""},
    ],
}


def written(path: Path, *records: Any) -> Path:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records), "utf-8")
    return path


def events_of(store: MemoryStore | SqliteStore, stream: str) -> list[Any]:
    return [one.event for one in recorded(store.read(stream))]


def only_stream(store: MemoryStore) -> str:
    (stream,) = store.streams()
    return stream


def test_every_part_of_a_chat_record_is_kept(tmp_path: Path) -> None:
    """Roles, parts, names, refusals, several calls at once, results in any order, legacy calls; texts are payloads."""
    store = MemoryStore()
    done = import_files(store, [written(tmp_path / "a.jsonl", EVERYTHING)], "openai")
    assert done == Imported(streams=1, messages=11, calls=3)
    stream = only_stream(store)
    first, *rest = events_of(store, stream)
    assert isinstance(first, ConversationImported)
    assert (first.format, first.messages, first.marks) == ("openai", 11, None)
    texts = {at: payload.text for at, payload in store.payloads(stream).items()}
    assert texts[PayloadAt(version=0, name="about")] == '{"id": "chatcmpl-1"}'

    def text(version: int, name: str = "text") -> str:
        return texts[PayloadAt(version=version, name=name)]

    assert [one.role for one in rest] == [one["role"] for one in EVERYTHING["messages"]]
    assert (text(1), text(2), text(3), text(3, "name")) == ("Be short.", "Be kind.\nBe brief.", "Where is it?", "maria")
    assert rest[2].parts == ("image_url", "other")
    asks, second, found, legacy, paid, refuses, odd, empty = rest[3:]
    assert [call.tool for call in asks.calls] == ["find_order", None]
    assert (text(4, "call.1.name"), text(4, "call.1"), text(4, "call.0")) == (
        "mcp.find-it",
        "not json",
        '{"order": "X1"}',
    )
    assert (second.answers.version, second.answers.position, second.answers.tool) == (4, 1, None)
    assert (found.answers.version, found.answers.position, found.answers.tool) == (4, 0, "find_order")
    assert legacy.calls[0].tool == "pay"
    assert (paid.answers.version, paid.answers.position, paid.answers.tool) == (7, 0, "pay")
    assert (refuses.text, text(9, "refusal")) == (None, "I cannot help with that.")
    assert odd.text is not None
    assert text(10) == "yes\u0000\ud800"
    assert empty.text is not None
    assert text(11) == ""
    assert audited(store).ok


def test_what_policies_observe_of_it() -> None:
    """The customer's messages, marks, the agent's calls and their good ends; no instructions, and no failure."""
    store = MemoryStore()
    marks = MarkSet(
        marks=(MarkSpec(name="agrees", role=("customer",), text="yes"), MarkSpec(name="asks", tool=("pay",)))
    )
    words = [word for one in imported_events(store, EVERYTHING, marks) for word in words_of(one)]
    assert words == [
        "message",
        "tool:find_order",
        "done:find_order",
        "mark:asks",
        "tool:pay",
        "done:pay",
        "message",
        "mark:agrees",
    ]


def imported_events(store: MemoryStore, record: Any, marks: MarkSet | None = None) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        import_files(store, [written(Path(folder) / "one.jsonl", record)], "openai", marks=marks)
    return events_of(store, only_stream(store))


def chat(*messages: Any) -> dict[str, Any]:
    return {"messages": list(messages)}


USER = {"role": "user", "content": "hello"}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}

MALFORMED: list[tuple[Any, str]] = [
    ("{", "it is not JSON: Expecting property name enclosed in double quotes at character 2"),
    ("[", "it is not JSON: Expecting value at character 2 (a list that goes on below: is it one JSON document"),
    ('{"messages": [NaN]}', "NaN is not JSON"),
    ('{"messages": [], "messages": []}', "an object holds the same name twice"),
    ("7", "a record is an object with `messages`, or a list of messages; this is a number"),
    ({"prompt": "x"}, "messages: there is no list of messages"),
    (chat(), "messages: there are no messages"),
    (chat("hello"), "messages[0]: a message is an object; this is a text"),
    (chat(USER, {"role": "robot", "content": "x"}), "messages[1].role: it is 'robot'; it may be 'system', 'developer'"),
    (chat({"content": "x"}), "messages[0].role: it is nothing; it may be"),
    (chat({"role": "user"}), "messages[0].content: there is neither content nor a tool call"),
    (chat({"role": "user", "content": 7}), "messages[0].content: it is a text, null or a list of parts"),
    (chat({"role": "user", "content": ["x"]}), "messages[0].content[0]: a part is an object with a `type`"),
    (chat({"role": "user", "content": [{"type": "text"}]}), "messages[0].content[0].text: a text part has a text"),
    (chat({"role": "user", "content": "x", "name": 1}), "messages[0].name: it is a text; this is a number"),
    (chat({"role": "assistant", "refusal": []}), "messages[0].refusal: it is a text; this is a list"),
    (chat({"role": "assistant", "tool_calls": {"a": 1}}), "messages[0].tool_calls: it is a list of calls"),
    (chat({"role": "assistant", "tool_calls": [7]}), "messages[0].tool_calls[0]: a call is an object"),
    (chat({"role": "assistant", "tool_calls": [{**CALL, "id": None}]}), "messages[0].tool_calls[0].id: a call needs"),
    (chat({"role": "assistant", "tool_calls": [{"id": "a"}]}), "messages[0].tool_calls[0]: a call has a `function`"),
    (chat({"role": "assistant", "tool_calls": [{"id": "a", "function": {"arguments": "{}"}}]}),
     "messages[0].tool_calls[0].name: the function has no name"),
    (chat({"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": 7}}]}),
     "messages[0].tool_calls[0].arguments: they are a text or an object; this is a number"),
    (chat({"role": "assistant", "tool_calls": [CALL] * 129}), "messages[0].tool_calls: there are 129 calls; at most"),
    (chat({"role": "tool", "content": "x"}), "messages[0].tool_call_id: a result says which call it is of"),
    (chat({"role": "tool", "tool_call_id": "z", "content": "x"}), "messages[0].tool_call_id: no message before it"),
    (chat({"role": "function", "name": "f", "content": "x"}), "messages[0].name: no message before it made the"),
    ("[" * 100_000, "nested too deeply"),
]  # fmt: skip


@pytest.mark.parametrize(("record", "says"), MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_line_is_reported_by_its_number(tmp_path: Path, record: Any, says: str) -> None:
    """What is wrong and where; refused with nothing imported, or left out with the rest imported."""
    path = written(tmp_path / "a.jsonl", chat(USER), "", record, chat(USER, USER))
    store = MemoryStore()
    with pytest.raises(ImportRefused) as refused:
        import_files(store, [path], "openai")
    assert not store.streams()
    (fault,) = refused.value.faults
    assert fault.number == 3
    assert says in fault.what or says in f"it is {fault.what}"
    assert str(refused.value) == (
        f"1 record is malformed, and nothing was imported. The first is number 3: {fault.what} Where: {path}. "
        "Fix: Mend the file, or leave such records out with --skip."
    )
    done = import_files(store, [path], "openai", skip=True)
    assert (done.streams, done.malformed, done.faults) == (2, 1, (fault,))
    assert audited(store).ok


def test_a_line_that_is_no_utf8_is_reported(tmp_path: Path) -> None:
    """The position of the first byte that is none."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(chat(USER)).encode() + b'\n{"messages": "\xff"}\n')
    with pytest.raises(ImportRefused, match="number 2: byte 14 is not UTF-8"):
        import_files(MemoryStore(), [path], "openai")


def test_a_file_that_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    """Nothing is imported of the others either."""
    store = MemoryStore()
    there = written(tmp_path / "a.jsonl", chat(USER))
    with pytest.raises(CallError, match=r"The file cannot be read: No such file or directory\. Where: .*b\.jsonl"):
        import_files(store, [there, tmp_path / "b.jsonl"], "openai")
    assert not store.streams()


def test_a_record_is_imported_once(tmp_path: Path) -> None:
    """Again, in another order, with other white space, twice in one file: one stream, and not an entry more."""
    store = SqliteStore(tmp_path / "log.db")
    path = written(tmp_path / "a.jsonl", chat(USER), EVERYTHING)
    import_files(store, [path], "openai")
    before = [row.data for stream in store.streams() for row in store.read(stream)]
    again = written(
        tmp_path / "b.jsonl", json.dumps(EVERYTHING, indent=None, separators=(" , ", " : ")), chat(USER), chat(USER)
    )
    assert import_files(store, [path, again], "openai") == Imported(known=5)
    assert [row.data for stream in store.streams() for row in store.read(stream)] == before
    more = written(tmp_path / "c.jsonl", chat(USER), chat(USER, USER))
    assert import_files(store, [more], "openai") == Imported(streams=1, messages=2, known=1)
    store.close()


def test_other_marks_change_nothing_and_are_said(tmp_path: Path) -> None:
    """An entry never changes: what is there keeps its marks."""
    store = MemoryStore()
    path = written(tmp_path / "a.jsonl", chat(USER))
    import_files(store, [path], "openai")
    marks = MarkSet(marks=(MarkSpec(name="greets", text="hello"),))
    assert import_files(store, [path], "openai", marks=marks) == Imported(known=1, otherwise_marked=1)


def test_an_imported_conversation_is_nothing_to_decide_again(tmp_path: Path) -> None:
    """It has ended on no flow; deciding it again decides nothing, whatever the flow."""
    store = MemoryStore()
    imported_events(store, EVERYTHING)
    stream = only_stream(store)
    summary = store.summary(stream)
    assert summary is not None
    assert (summary.status, summary.flow_digest, summary.state, summary.undecided) == (
        "ended",
        IMPORTED.digest,
        "imported",
        0,
    )
    again = redecide(load_project("bank").program, stream, recorded(store.read(stream)))
    assert (again.imported, again.decisions, again.divergences, again.events) == (True, 0, 0, 12)


async def test_nobody_can_go_on_in_it() -> None:
    """A runtime refuses what is said there, and nothing is recorded."""
    store = MemoryStore()
    imported_events(store, chat(USER))
    stream, bank = only_stream(store), load_project("bank")
    assert bank.scripted
    async with Runtime(store, [bank.program], bank.scripted()) as runtime:
        with pytest.raises(
            CallError, match=r"The conversation was imported: it was led elsewhere, and cannot go on here\."
        ):
            await runtime.say(stream, "And now?")
    assert store.head(stream).length == 2


def test_a_decided_event_in_an_imported_stream_is_found() -> None:
    """Whoever appends one (its hashes right) is found by the audit and by deciding again, at its version."""
    store = MemoryStore()
    imported_events(store, chat(USER))
    stream = only_stream(store)
    _, message = opened(store.read(stream)[1].data)
    assert isinstance(message, MessageImported)
    forged = forge(store, stream)
    found = audited(store)
    assert found.first is not None
    assert (found.first.version, found.first.what) == (
        2,
        "An event 'message_taken' stands in a conversation that was imported.",
    )
    with pytest.raises(LogBroken, match="stands in a conversation that was imported"):
        redecide(load_project("bank").program, stream, forged)


def forge(store: MemoryStore, stream: str) -> list[Recorded]:
    rows = store.read(stream)
    envelope, _ = opened(rows[-1].data)
    entries = sealed(
        [MessageTaken(message=1, turn_due=envelope.at)],
        head=Head(stream, 2, rows[-1].leaf),
        command=Brought("forged", envelope.at, SYSTEM),
        flow=IMPORTED.digest,
        code="x",
        log=store.log,
    )
    folded = fold(stream, [*events_of(store, stream), entries[0].event])
    store.append(Append(entries, 2, summary_of(folded, entries[0].at, rows[0].at, "")))
    return recorded(store.read(stream))


def test_streams_are_named_by_their_records() -> None:
    """A UUID of version 8, so that nobody opens a conversation under it by chance."""
    assert stream_of("f" * 64) == "ffffffff-ffff-8fff-bfff-ffffffffffff"
    assert UUID(stream_of("0" * 64)).version == 8
