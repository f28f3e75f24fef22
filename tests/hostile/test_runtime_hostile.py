"""Whatever comes in: a clear error or a declared outcome, nothing lost, the log verifies and replays."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.agents.scripted import ScriptedAgent, calls, gives
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.commands import CUSTOMER
from interlock.contracts.errors import CallError, InterlockError
from interlock.contracts.events import AgentReturned, MessageReceived, ToolReturned
from interlock.contracts.payload import PayloadAt, bytes_of
from interlock.contracts.store import Store
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.redactor import redactor_named
from interlock.service.runtime import Runtime
from support.figures import record
from support.hostile import LARGE, TEXTS, any_text, cyclic, json_values, replies
from support.runtime import Bank, check_log, events_of, mini, of_type

PROGRAM = mini()
HELPFUL = ScriptedAgent(lambda _: gives(reply="Yes."))


def kept(store: Store, stream: str) -> list[bytes]:
    """The messages as they lie in the store."""
    found = []
    for version, event in enumerate(events_of(store, stream)):
        if isinstance(event, MessageReceived):
            payload = store.payload(stream, PayloadAt(version=version, name="message"))
            assert payload
            found.append(payload.plaintext)
    return found


async def typed(store: Store, texts: Sequence[str], agent: Any = HELPFUL, program: Any = PROGRAM) -> None:
    """Every text to a conversation at its start, in a form, and before an agent; all of them are kept whole."""
    async with Runtime(store, program, agent) as runtime:
        for place, way in (("start", ()), ("form", ("form",)), ("desk", ("person",))):
            await runtime.start(conversation=place)
            for text in way:
                await runtime.say(place, text)
            for text in texts:
                outcome = await runtime.say(place, text)
                assert outcome.standing in ("waiting", "with_person", "ended")
            assert kept(store, place)[len(way) :] == [bytes_of(text) for text in texts]
    check_log(store, program)


@pytest.mark.parametrize("name", TEXTS)
async def test_any_message_is_kept_whole_and_answered(name: str) -> None:
    """In every kind of state that hears people; with a classifier's cost in mind, it does not take for ever either."""
    await asyncio.wait_for(typed(MemoryStore(), [TEXTS[name]]), 20)


async def test_any_message_is_kept_whole_on_sqlite(tmp_path: Path) -> None:
    """All of them in one conversation, on a file."""
    store = SqliteStore(tmp_path / "log.db")
    await typed(store, list(TEXTS.values()))
    store.close()


@given(texts=st.lists(any_text, max_size=4))
@settings(max_examples=40)
def test_any_texts_are_kept_whole_and_answered(texts: list[str]) -> None:
    """Any Python strings, in any order."""
    asyncio.run(typed(MemoryStore(), texts))


ALPHABETS = (
    "\x00\x01\x1b\x7f",
    "\ud800\udc00\udfff",
    "\u202e\u200b\ufeff\U0010ffff",
    '{}[]"\\:,0123456789',
    "help pay é €",
)


def any_hostile(chance: random.Random) -> str:
    """A message of one kind of trouble or of several mixed, or one of those with a name."""
    if chance.random() < 0.02:
        return chance.choice(sorted(TEXTS.values()))
    alphabet = "".join(chance.sample(ALPHABETS, chance.randrange(1, 4)))
    return "".join(chance.choices(alphabet, k=chance.choice((0, 1, 5, 60, 400))))


async def written_back(texts: list[str], path: Path | None) -> list[str]:
    """Many messages, a hundred in each conversation; those that were refused, or were not kept as they came. Nothing is
    redacted: among so many digits are some that a card could have."""
    wrong: list[str] = []
    store = SqliteStore(path) if path else MemoryStore()
    async with Runtime(store, PROGRAM, HELPFUL, redactor=redactor_named("none")) as runtime:
        for start in range(0, len(texts), 100):
            talk, said = f"talk-{start}", texts[start : start + 100]
            await runtime.start(conversation=talk)
            await runtime.say(talk, "person")
            for text in said:
                try:
                    await runtime.say(talk, text)
                except Exception as error:
                    wrong.append(f"{text!r}: {error!r}")
            wrong += [
                repr(text) for text, found in zip(said, kept(store, talk)[1:], strict=True) if found != bytes_of(text)
            ]
    check_log(store, PROGRAM)
    store.close()
    return wrong


@pytest.mark.parametrize("messages", [200, pytest.param(10_000, marks=pytest.mark.full)])
@pytest.mark.parametrize("sqlite", [False, True])
async def test_no_bytes_stop_the_log(sqlite: bool, messages: int, tmp_path: Path) -> None:
    """NUL, lone surrogates, controls, directions, brackets and digits, mixed: each is taken and kept byte for byte."""
    chance = random.Random(17)
    texts = [any_hostile(chance) for _ in range(messages)]
    assert await written_back(texts, tmp_path / "log.db" if sqlite else None) == []
    refused = sum(not could_be_utf8(text) for text in texts)
    where = "SQLite" if sqlite else "memory"
    record("F17", f"hostile messages, {where}", tried=messages, wrong=0)
    record("F17", f"encoded as strict UTF-8 instead, {where}", tried=messages, wrong=refused, control=True)


def could_be_utf8(text: str) -> bool:
    """Whether a log of strict UTF-8 text, without NUL as in PostgreSQL, would have taken it."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


@pytest.mark.parametrize("sqlite", [False, True])
async def test_ten_megabytes_are_recorded_whole_and_read_by_nobody(sqlite: bool, tmp_path: Path) -> None:
    """The customer is asked to shorten it; the next message is taken as ever."""
    store = SqliteStore(tmp_path / "log.db") if sqlite else MemoryStore()
    async with Runtime(store, PROGRAM, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        outcome = await runtime.say("talk", LARGE, key="k")
        assert (outcome.state, outcome.standing) == ("start", "waiting")
        assert await runtime.say("talk", LARGE, key="k") == outcome
        assert (await runtime.say("talk", "help")).state == "more"
    assert kept(store, "talk")[0] == LARGE.encode()
    assert max(len(entry.data) for entry in store.read("talk")) < 65_536
    check_log(store, PROGRAM)
    store.close()


@given(key=st.text(st.characters(), max_size=130))
@settings(max_examples=100)
def test_any_key_is_taken_or_refused(key: str) -> None:
    """Taken keys are idempotent; refused ones record nothing."""

    async def use() -> None:
        store = MemoryStore()
        async with Runtime(store, PROGRAM, HELPFUL) as runtime:
            await runtime.start(conversation="talk")
            try:
                outcome = await runtime.say("talk", "form", key=key)
            except CallError:
                assert len(of_type(store, "talk", MessageReceived)) == 0
            else:
                assert await runtime.say("talk", "form", key=key) == outcome
                assert len(of_type(store, "talk", MessageReceived)) == 1
        check_log(store, PROGRAM)

    asyncio.run(use())


anything = st.one_of(json_values, st.binary(max_size=5), st.decimals(), st.dates(), st.just(object()))


@given(facts=st.dictionaries(st.sampled_from(("city", "amount", "paid", "other", "", "\ud800")), anything, max_size=3))
def test_facts_of_any_type_are_taken_or_refused(facts: dict[str, Any]) -> None:
    """All of them fit the flow, or a call error names those that do not and nothing is recorded."""

    async def use() -> None:
        store = MemoryStore()
        async with Runtime(store, PROGRAM, HELPFUL) as runtime:
            try:
                await runtime.start(conversation="talk", facts=facts)
            except CallError:
                assert store.head("talk").length == 0
            else:
                assert check_log(store, PROGRAM).folds["talk"].known.keys() == facts.keys()

    asyncio.run(use())


@pytest.mark.parametrize("name", ["\ud800", "\x00", "x" * 100_000, "../../etc/passwd", "', '", "\u202e", " "])
async def test_any_name_of_a_conversation_is_taken_or_refused(name: str) -> None:
    """As the id of a conversation, of a person, of a flow."""
    store = MemoryStore()
    async with Runtime(store, PROGRAM, HELPFUL) as runtime:
        for call in (
            lambda: runtime.start(conversation=name),
            lambda: runtime.start(subject=name),
            lambda: runtime.start(flow=name),
            lambda: runtime.say(name, "form"),
            lambda: runtime.give(name, "signed_in"),
            lambda: runtime.outcome(name),
        ):
            try:
                outcome = await call()
            except InterlockError:
                continue
            assert outcome.standing == "waiting"
    check_log(store, PROGRAM)


@pytest.mark.parametrize("name", ["", " ", "\ud800", "x" * 70, "5", "no such", "operator_kill\n"])
async def test_any_name_of_an_input_or_a_decision_is_recorded_or_refused(name: str) -> None:
    """A name that is no name is a call error; one that nobody waits for is refused on the record."""
    store = MemoryStore()
    async with Runtime(store, PROGRAM, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        for call in (
            lambda: runtime.give("talk", name),
            lambda: runtime.decide_task("talk", 1, name, actor=CUSTOMER),
            lambda: runtime.resolve("talk", 1, name),
            lambda: runtime.resolve("talk", -1, "done"),
            lambda: runtime.decide_task("talk", -1, "resolved", actor=CUSTOMER),
        ):
            with pytest.raises(CallError):
                await call()
        assert (await runtime.outcome("talk")).state == "start"
    check_log(store, PROGRAM)


class Anything:
    """A model that hands over whatever Hypothesis drew."""

    name = "anything"

    def __init__(self, given_replies: Sequence[AgentReply]) -> None:
        self.replies = list(given_replies)

    async def run(self, request: AgentRequest) -> AgentReply:
        return self.replies.pop(0) if self.replies else AgentReply(text='{"reply":"Yes."}')


@given(drawn=st.lists(replies, min_size=1, max_size=6))
@settings(max_examples=120)
def test_a_model_that_says_anything_moves_only_along_the_table_and_runs_only_what_its_state_allows(
    drawn: list[AgentReply],
) -> None:
    """CONTAINMENT: any text, any calls, any arguments, any number; in a state with tools and in one without."""
    bank = Bank()
    program = mini(bank, limits="{turn_tokens: 2000000000, turn_cost: 100000, conversation_cost: 9000000}")
    store = MemoryStore()

    async def use() -> None:
        async with Runtime(store, program, Anything(drawn)) as runtime:
            await runtime.start(conversation="talk")
            for text in ("help", "expert", "help"):
                outcome = await runtime.say("talk", text)
                assert outcome.standing in ("waiting", "with_person")

    asyncio.run(use())
    checked = check_log(store, program)
    assert set(bank.names) <= {"look_up", "pay"}, "a tool outside the state's list was executed"
    intents = {
        f"talk:{version}" for version, event in enumerate(events_of(store, "talk")) if event.type == "tool_requested"
    }
    assert {key for _, key in bank.calls} <= intents
    assert len(bank.paid) == len({key for name, key in bank.calls if name == "pay"})
    assert checked.conversations == 1


async def test_control_the_same_model_does_reach_a_tool_that_its_state_allows() -> None:
    """The containment test can fail: allowed calls are executed."""
    bank = Bank()
    program = mini(bank)
    async with Runtime(MemoryStore(), program, Anything([calls("pay", amount=1)])) as runtime:
        await runtime.start(conversation="talk")
        await runtime.say("talk", "help")
    assert bank.names == ["pay"]


RESULTS: dict[str, Any] = {
    "bytes": b"\x00\xff",
    "cyclic": cyclic(),
    "nan": {"amount": float("nan")},
    "infinity": float("inf"),
    "huge": {"text": "x" * 5_000_000},
    "wide": {f"key_{n}": n for n in range(50_000)},
    "a set": {1, 2},
    "a class": Bank,
    "surrogates": {"city": "\ud800"},
    "nul": {"city": "\x00"},
    "deep": [[[[[[]]]]]],
    "an integer": 2**100,
    "a fact of another type": {"paid": "yes", "amount": "1e999999999", "city": {"a": 1}},
    "keys that are no text": {5: 6},
    "an exception": ValueError("x"),
    "a generator": (n for n in range(3)),
    "a lambda": lambda: 1,
    "true": True,
    "zero": 0,
}


@pytest.mark.parametrize("name", RESULTS)
async def test_a_tool_that_returns_anything_has_done_or_failed(name: str) -> None:
    """Called by the flow and proposed by a model; the log stays whole and the conversation goes on."""
    bank = Bank()
    bank.answer = RESULTS[name] if not callable(RESULTS[name]) else (lambda _: RESULTS[name])
    program, store = mini(bank, input_tokens=100_000), MemoryStore()
    agent = ScriptedAgent(
        lambda request: gives(reply="Yes.") if request.messages[-1].role == "tool" else calls("look_up", what="it")
    )
    async with Runtime(store, program, agent) as runtime:
        for text in ("pay", "help"):
            await runtime.start(conversation=text)
            outcome = await runtime.say(text, text)
            assert outcome.standing in ("waiting", "with_person")
            assert {event.report.outcome for event in of_type(store, text, ToolReturned)} <= {"done", "failed"}
            assert of_type(store, text, ToolReturned)
    check_log(store, program)


class Weird(BaseException):
    """No `Exception` at all."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError("\ud800"),
        Weird(),
        SystemExit(1),
        KeyboardInterrupt(),
        MemoryError(),
        asyncio.CancelledError(),
        StopIteration(),
        GeneratorExit(),
    ],
    ids=repr,
)
async def test_a_tool_that_raises_anything_has_failed(error: BaseException) -> None:
    """The row of `failed` is taken; the loop and the process live on."""
    bank = Bank()

    def breaks(_: str) -> None:
        raise error

    bank.answer = breaks
    program, store = mini(bank), MemoryStore()
    async with Runtime(store, program, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        assert (await runtime.say("talk", "pay")).state == "desk"
    check_log(store, program)


async def test_ten_thousand_messages_in_one_conversation() -> None:
    """Each is kept and answered, and the last costs no more than the first."""
    store = MemoryStore()
    async with Runtime(store, PROGRAM, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        await runtime.say("talk", "person")
        for number in range(9_999):
            outcome = await runtime.say("talk", f"message {number}", key=str(number))
            assert outcome.replies == ("The clerk comes soon.",)
        assert (await runtime.say("talk", "message 5", key="5")).replies == ("The clerk comes soon.",)
    assert len(of_type(store, "talk", MessageReceived)) == 10_000
    check_log(store, PROGRAM)


@pytest.mark.full
async def test_ten_thousand_messages_through_the_agent() -> None:
    """Every one a whole turn."""
    store, program = MemoryStore(), mini(limits="{conversation_tokens: 9000000000000, conversation_cost: 9000000}")
    agent = ScriptedAgent({"helper": gives(reply="Yes."), "expert": gives(reply="Yes.")})
    async with Runtime(store, program, agent) as runtime:
        await runtime.start(conversation="talk")
        for _ in range(10_000):
            assert (await runtime.say("talk", "expert")).state == "more"
    assert len(of_type(store, "talk", AgentReturned)) == 10_000
    check_log(store, program)
