"""Records: one for each decision, handoff, call and task of the log, and no harm from whoever hears them."""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from interlock.agents.scripted import ScriptedAgent, after_tool, calls, fails, gives, rules, when
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.commands import AgentEnded, AgentReport, Command, Condition
from interlock.contracts.envelope import Head, sealed
from interlock.contracts.events import AgentReturned, Event, ToolRequested, TransitionTaken
from interlock.contracts.limits import Usage
from interlock.fsm.conversation import Conversation
from interlock.fsm.evolve import evolve
from interlock.fsm.program import Program
from interlock.persistence.memory_store import MemoryStore
from interlock.service import clock, perform, records
from interlock.service.clock import ManualClock
from interlock.service.observing import Listener, Observer
from interlock.service.records import FIELDS, PREVIEWS, Record, begins_turn, records_of
from interlock.service.redaction import Preview
from interlock.service.redactor import redactor_named
from interlock.service.runtime import Runtime
from interlock.service.telemetry import RecordLog, configured, observer_told_by
from support.histories import History, histories
from support.hostile import replies
from support.listening import Broken, Kept
from support.runtime import CLERK, Bank, check_log, events_of, mini

WORDS = ("help", "expert", "pay", "once", "form", "Paris", "12.50", "person", "bye", "nonsense")
RECORDED = {
    "agent_returned": "model_call",
    "approval_void": "decision",
    "policy_kept": "decision",
    "broadcast_ended": "decision",
    "command_refused": "decision",
    "effect_resolved": "decision",
    "handoff_made": "handoff",
    "judged": "decision",
    "late_result": "decision",
    "limit_reached": "decision",
    "over_budget": "decision",
    "parent_left": "decision",
    "retry_planned": "decision",
    "retry_scheduled": "decision",
    "history_summarised": "decision",
    "routing_decided": "decision",
    "subflow_ended": "decision",
    "subflow_left": "decision",
    "subflow_started": "decision",
    "task_decided": "task",
    "task_endorsed": "task",
    "task_opened": "task",
    "tool_refused": "decision",
    "tool_returned": "tool_call",
    "transition_refused": "decision",
    "transition_taken": "decision",
}
WITHOUT_RECORD = {
    "agent_requested": "its end has one",
    "conversation_imported": "nothing of it was decided here",
    "message_imported": "nothing of it was decided here",
    "erased": "the log's own records have it",
    "flow_changed": "the command that moves conversations says it",
    "agent_tool_ended": "each of its model calls has one, with the purpose `tool`",
    "broadcast_started": "each member's call has one",
    "conversation_ended": "the row that led there has one",
    "conversation_started": "nothing was decided yet",
    "fact_forgotten": "facts are the log's business",
    "fact_skipped": "facts are the log's business",
    "facts_recorded": "facts are the log's business",
    "input_received": "the row that it takes has one",
    "issues_dropped": "the row that dropped them has one",
    "message_received": "the row that it takes has one",
    "message_taken": "the row that it takes has one",
    "question_asked": "a form's own business",
    "reply_sent": "what was said is not for records",
    "subflow_replied": "what was said is not for records",
    "timer_fired": "the row that it takes has one",
    "timer_set": "a deadline is no decision",
    "tool_requested": "its end has one",
}


def test_every_event_has_a_record_or_a_reason_to_have_none() -> None:
    """A new event must be given its place here, and in `service/records.py` if it is to have a record."""
    known = {one.model_fields["type"].default for one in get_args(get_args(Event)[0])}
    assert known == RECORDED.keys() | WITHOUT_RECORD.keys()
    assert RECORDED.keys() == {one.model_fields["type"].default for one in records.RECORDED}


# -- records and the log say the same -------------------------------------------------------------------


class Answers:
    """A model that gives what was drawn, then a plain answer."""

    name = "drawn"

    def __init__(self, given_replies: Sequence[AgentReply]) -> None:
        self.left = list(given_replies)

    async def run(self, request: AgentRequest) -> AgentReply:
        return self.left.pop(0) if self.left else AgentReply(text='{"reply":"Yes."}', finish="stop")


async def run(program: Program, agent: Any, texts: Sequence[str], observer: Observer | None) -> MemoryStore:
    """A conversation through the texts; an open task is decided before the next."""
    store = MemoryStore(origin="test")
    # Nothing is replaced in front of the writer: previews must stand by themselves.
    bare = redactor_named("none")
    async with Runtime(store, program, agent, clock=ManualClock(), observer=observer, redactor=bare) as runtime:
        outcome = await runtime.start(conversation="talk")
        for number, text in enumerate(texts):
            if outcome.task is not None:
                outcome = await runtime.decide_task("talk", outcome.task.number, "resolved", actor=CLERK)
            outcome = await runtime.say("talk", text, key=str(number))
    return store


def expected(store: MemoryStore, program: Program) -> list[tuple[str, dict[str, Any]]]:
    """What the log alone says must be recorded: kind, and the figures that matter, read without `records_of`."""
    conversation = Conversation(id="talk")
    events = events_of(store, "talk")
    found: list[tuple[str, dict[str, Any]]] = []
    for version, event in enumerate(events):
        state = conversation.state
        conversation = evolve(conversation, event)
        kind = RECORDED.get(event.type)
        if kind is None:
            continue
        figures: dict[str, Any] = {
            "entry": event.type,
            "version": version,
            "trace": f"talk:{conversation.turn.number}",
            "conversation": "talk",
            "flow": "mini",
        }
        data = event.model_dump(mode="json")
        match event.type:
            case "agent_returned":
                asked: Any = events[event.effect]
                report = event.report
                figures |= {"agent": asked.agent, "attempt": asked.attempt, "outcome": report.outcome}
                figures |= {"cost_nano": event.cost, "latency_ms": report.latency_ms, "effect": event.effect}
                figures |= {"measured": report.usage.measured, "model": report.model or asked.model}
                if report.usage.measured:
                    figures |= {"input_tokens": report.usage.input_tokens, "output_tokens": report.usage.output_tokens}
            case "tool_returned":
                ran: Any = events[event.effect]
                figures |= {"tool": ran.tool, "outcome": event.report.outcome, "latency_ms": event.report.latency_ms}
                figures |= {"caller": ran.caller, "consequential": ran.consequential}
            case "handoff_made":
                handoff = data["handoff"]
                figures |= {name: handoff[name] for name in ("source", "target", "why")}
                figures |= {"tokens": handoff["history"]["token_bound"], "history": handoff["history"]["policy"]}
                figures |= {"allowed_actions": tuple(handoff["constraints"]["allowed_actions"]) or None}
            case "routing_decided":
                scores = event.evidence.scores
                figures |= {"source": event.state, "outcome": event.decision.outcome, "stage": event.decision.stage}
                figures |= {"confidence": float(scores[0].score) if scores else None}
            case "transition_taken":
                figures |= {name: data[name] for name in ("source", "target", "on", "row", "move")}
                figures |= {"policy": event.because}
            case "limit_reached":
                figures |= {"source": state, "limit": event.limit, "value": event.value, "maximum": event.maximum}
            case "task_opened":
                figures |= {"role": event.role, "decisions": event.decisions}
            case _:
                pass
        found.append((kind, figures))
    return found


def agree(heard: Sequence[Record], store: MemoryStore, program: Program) -> None:
    """As many records as the log has entries of their kinds, in its order, with its figures."""
    wanted = expected(store, program)
    assert [(one.kind, one.version) for one in heard] == [(kind, figures["version"]) for kind, figures in wanted]
    for record, (_, figures) in zip(heard, wanted, strict=True):
        shown = record.fields()
        assert {name: shown.get(name) for name in figures} == figures
        assert shown.keys() <= FIELDS | PREVIEWS


LIMITS = "{turn_tokens: 2000000000, turn_cost: 100000, conversation_cost: 9000000}"


@given(texts=st.lists(st.sampled_from(WORDS), max_size=6), drawn=st.lists(replies, max_size=6))
def test_every_decision_handoff_and_call_in_the_log_has_one_record_with_the_same_figures(
    texts: list[str], drawn: list[AgentReply]
) -> None:
    """LAW: over random conversations with a model that answers anything."""
    program, kept = mini(limits=LIMITS), Kept()
    store = asyncio.run(run(program, Answers(drawn), texts, Observer(kept)))
    agree(kept.records, store, program)


async def test_a_late_answer_has_its_record_with_its_agent() -> None:
    """An operator ended the turn meanwhile: the result changes nothing, and is recorded with what it cost."""
    program, kept, store = mini(), Kept(), MemoryStore()
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: AgentRequest) -> AgentReply:
        asked.set()
        await go_on.wait()
        return AgentReply(text='{"reply":"Yes."}', usage=Usage(input_tokens=7, output_tokens=3))

    operator = CLERK.changed(roles=("operator",))
    async with Runtime(store, program, ScriptedAgent(slow), observer=Observer(kept)) as runtime:
        await runtime.start(conversation="talk")
        turn = asyncio.create_task(runtime.say("talk", "help"))
        await asked.wait()
        await runtime.give("talk", "operator_kill", actor=operator)
        go_on.set()
        await turn
    call = kept.of("model_call")[0].fields()
    assert (call["late"], call["agent"], call["input_tokens"], call["output_tokens"]) == (True, "helper", 7, 3)
    agree(kept.records, store, program)


def test_a_record_too_few_is_found() -> None:
    """The control: the comparison fails when a record is missing, doubled, or has another figure."""
    program, kept = mini(), Kept()
    store = asyncio.run(run(program, Answers([]), ["help", "expert"], Observer(kept)))
    agree(kept.records, store, program)
    other = {**kept.records[0].figures, "row": 99}
    for wrong in (
        kept.records[1:],
        [kept.records[0], *kept.records],
        [replace(kept.records[0], figures=other), *kept.records[1:]],
    ):
        with pytest.raises(AssertionError):
            agree(wrong, store, program)


@given(history=histories())
def test_the_turn_in_a_record_is_the_turn_of_the_fold(history: History) -> None:
    """LAW: over random histories of random flows, whatever was decided."""
    for step in history.steps:
        conversation = step.before
        for event in step.decision.events:
            number = conversation.turn.number + begins_turn(event)
            conversation = evolve(conversation, event)
            assert conversation.turn.number == number


@given(history=histories())
def test_records_can_be_made_of_any_history(history: History) -> None:
    """LAW: from the entries alone, whoever performed the effects; every field is a known one."""
    entries = list(history.entries)
    for step in history.steps:
        taken, entries = entries[: len(step.decision.events)], entries[len(step.decision.events) :]
        made = list(records_of(history.program, step.before, taken, lambda _: None))
        expected = []
        for event in (one.event for one in taken if one.event.type in RECORDED):
            changes = event.report.conditions if isinstance(event, AgentReturned) else ()
            expected += [event.type] * (1 + len(changes))
        assert [one.entry for one in made] == expected
        assert all(one.fields().keys() <= FIELDS for one in made)


def test_a_breaker_that_opened_has_a_record_of_its_own() -> None:
    """Beside that of the attempt that opened it, with what changed and until when."""
    program, at = mini(), datetime(2026, 1, 5, 9, 5, tzinfo=UTC)
    opened = Condition(
        kind="breaker", subject="agent helper", before="closed", after="open", reason="failures", until=at
    )
    report = AgentReport(outcome="failed", reason="server_error", conditions=(opened,))
    command = Command(key="e:1", at=at, actor=CLERK, body=AgentEnded(effect=1, report=report))
    entries = sealed(
        (AgentReturned(effect=1, report=report, cost=5),),
        head=Head("talk"),
        command=command,
        flow=program.ref.digest,
        code="test/1",
        log="test",
    )
    call, condition = records_of(program, Conversation(id="talk"), entries, lambda _: None)
    assert (call.kind, condition.kind, call.version, condition.version) == ("model_call", "condition", 0, 0)
    assert condition.figures == {
        "condition": "breaker",
        "subject": "agent helper",
        "before": "closed",
        "after": "open",
        "reason": "failures",
        "until": "2026-01-05T09:05:00.000000Z",
    }
    assert condition.fields().keys() <= FIELDS


async def test_a_handoff_and_a_model_call_say_what_a_dashboard_asks() -> None:
    """Who, to whom, why, how sure, how many tokens, what it cost, how long it took."""
    kept = Kept()
    agent = ScriptedAgent(
        {
            "helper": AgentReply(
                text='{"outcome":"unsure"}',
                usage=Usage(input_tokens=100, output_tokens=10),
                model="small-2026",
                request_id="req_1",
                finish="stop",
            ),
            "expert": gives(reply="So it is."),
        }
    )
    await run(mini(), agent, ["help"], Observer(kept))
    call = kept.of("model_call")[0].fields()
    assert call["latency_ms"] in range(1_000)
    assert {name: one for name, one in call.items() if name not in ("latency_ms", "at")} == {
        "entry": "agent_returned",
        "conversation": "talk",
        "trace": "talk:1",
        "version": 8,
        "flow": "mini",
        "state": "helper",
        "agent": "helper",
        "attempt": 1,
        "round": 0,
        "purpose": "run",
        "model": "small-2026",
        "effect": 7,
        "outcome": "unsure",
        "measured": True,
        "input_tokens": 100,
        "output_tokens": 10,
        "cost_nano": 120_000,
        "currency": "EUR",
        "request_id": "req_1",
        "finish": "stop",
    }
    handoff = kept.of("handoff")[0].fields()
    assert (handoff["source"], handoff["target"], handoff["why"]) == ("helper", "expert", "label")
    assert (handoff["label"], handoff["history"], handoff["budget_tokens"]) == ("help", "window", 10_100)
    assert isinstance(handoff["tokens"], int)


# -- a listener hurts nothing ---------------------------------------------------------------------------


@pytest.fixture
def held_still(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same random bytes and no time passing, each time it is called: what is left to differ is behaviour."""

    def hold() -> None:
        numbers = itertools.count()
        fixed = SimpleNamespace(urandom=lambda size: next(numbers).to_bytes(size, "big"))
        monkeypatch.setattr(clock, "os", fixed)
        monkeypatch.setattr(clock, "_drawn", deque())
        monkeypatch.setattr(perform, "time", SimpleNamespace(perf_counter=lambda: 0.0))

    return hold


def busy() -> ScriptedAgent:
    return ScriptedAgent(
        rules(
            after_tool("pay", then=gives(reply="Paid.")),
            when("tool", then=calls("pay", amount=3)),
            when("break", then=fails("server_error")),
            otherwise=gives(reply="Yes."),
        )
    )


TEXTS = ("help with a tool", "help break", "expert", "pay", "form", "Paris", "12.50", "person", "bye")


async def bytes_with(observer: Observer | None) -> list[bytes]:
    store = await run(mini(Bank()), busy(), TEXTS, observer)
    check_log(store, mini())
    return [entry.data for entry in store.read("talk")]


@pytest.mark.parametrize("where", ["heard", "calling", "entering", "leaving"])
async def test_a_listener_that_raises_changes_no_byte_of_the_log(where: str, held_still: Any) -> None:
    """LAW: after a commit, around a turn, around an effect; and those beside it go on hearing."""
    held_still()
    alone = await bytes_with(None)
    held_still()
    broken, beside = Broken(where), Kept()
    with capture_logs() as logs:
        heard = await bytes_with(Observer(broken, beside))
    assert heard == alone
    assert broken.raised > 5
    assert len(beside.records) > 20
    told = [one for one in logs if one["event"] == "listener_failed"]
    assert len(told) == broken.raised
    assert {one["error"] for one in told} == {"ConnectionError"}


async def test_the_comparison_of_bytes_can_fail(held_still: Any) -> None:
    """The control: another conversation has other bytes."""
    held_still()
    alone = await bytes_with(None)
    held_still()
    store = await run(mini(Bank()), busy(), TEXTS[1:], None)
    assert [entry.data for entry in store.read("talk")] != alone


async def test_a_preview_that_cannot_be_made_fails_no_call() -> None:
    """An adapter that answers with no text at all is the adapter's failure, as it is without an observer."""
    kept = Kept(previews=True)

    class Odd:
        name = "odd"

        async def run(self, request: AgentRequest) -> AgentReply:
            return AgentReply(text=5)  # type: ignore[arg-type]

    await run(mini(attempts=1), Odd(), ["help"], Observer(kept))
    assert kept.of("model_call")[0].fields()["outcome"] == "failed"


async def test_a_turn_that_fails_leaves_the_listeners_contexts() -> None:
    """What a turn raises goes to its caller, and listeners are left with it."""
    left: list[Any] = []

    class Watching(Listener):
        def turn(self, live: Any) -> Any:
            return self

        def __enter__(self) -> None:
            left.append("in")

        def __exit__(self, kind: Any, *_: object) -> None:
            left.append(kind)

    class Lost(MemoryStore):
        def append(self, append: Any) -> int:
            raise OSError("no disk")

    async with Runtime(Lost(), mini(), busy(), observer=Observer(Watching())) as runtime:
        with pytest.raises(OSError, match="no disk"):
            await runtime.start(conversation="talk")
    assert left == ["in", OSError]


# -- previews -------------------------------------------------------------------------------------------


async def previews_of(text: str, reply: str, *listeners: Kept) -> None:
    agent = ScriptedAgent(lambda _: AgentReply(text=json.dumps({"reply": reply})))
    await run(mini(), agent, ["form", "Lisbon", "12.50", text], Observer(*listeners))


async def test_previews_are_off_unless_a_listener_wants_them() -> None:
    """Two listeners of one runtime: each gets what it asked for."""
    without, wanted = Kept(), Kept(previews=True)
    await previews_of("help me please", "Of course.", without, wanted)
    assert not [one for one in without.records if PREVIEWS & one.fields().keys()]
    call = wanted.of("model_call")[0].fields()
    assert (call["prompt_preview"], call["reply_preview"]) == ("help me please", '{"reply": "Of course."}')


async def test_a_preview_has_200_characters_on_one_line() -> None:
    """Cut after redaction, so that nothing is shown because it was cut."""
    wanted = Kept(previews=True)
    number = "4111 1111 1111 1111"
    await previews_of("help " + "x" * 188 + " " + number + " " + "y" * 300, "A\nB", wanted)
    prompt = str(wanted.of("model_call")[0].fields()["prompt_preview"])
    assert len(prompt) == 200
    assert prompt.endswith("x [card]")
    assert all("\n" not in str(one) for record in wanted.records for one in record.fields().values())


async def test_sealed_facts_are_not_in_a_preview_even_when_they_were_corrected() -> None:
    """The city is a sealed fact; the model says it and the one before it."""
    wanted = Kept(previews=True)
    agent = ScriptedAgent(lambda _: gives(reply="Lisbon or PORTO, or Portos, it is."))
    await run(mini(), agent, ["form", "Lisbon", "back", "Porto", "12.50", "help with lisbon"], Observer(wanted))
    call = wanted.of("model_call")[-1].fields()
    assert not {"lisbon", "porto"} & set(str(call).casefold().replace(",", " ").split())
    assert "[fact] or [fact], or [fact]s, it is." in str(call["reply_preview"])
    assert call["prompt_preview"] == "help with [fact]"


CANARIES = (
    "4111 1111 1111 1111",
    "5500-0000-0000-0004",
    "DE89 3704 0044 0532 0130 00",
    "gb29nwbk60161331926819",
    "maria.keller@example.org",
    "+49 170 1234567",
    "(020) 7946 0958",
    "078-05-1120",
    "QQ 12 34 56 C",
    "RSSMRA85T10A562S",
    "12345678",
    "sk-proj-abcdefghijklmnop",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "password: hunter2!",
)
ALL_RECORDED = st.sampled_from(CANARIES)
FILL = st.text(st.characters(categories=("L", "Nd", "P", "Zs")), max_size=60)


@given(
    spoken=st.tuples(FILL, ALL_RECORDED, FILL),
    sealed=st.sampled_from(("Zebrastadt", "Quokka Falls", "Xanadu-on-Sea")),
    found=st.text(st.sampled_from("Zyx wvQ"), min_size=6, max_size=40).map(lambda text: f"canary {text} canary"),
)
@settings(max_examples=60)
def test_no_record_holds_personal_text(spoken: tuple[str, str, str], sealed: str, found: str) -> None:
    """LAW: canaries in messages, in a sealed fact, in a tool's result and in answers; previews switched on."""
    wanted = Kept(previews=True)
    bank = Bank()
    bank.answer = {"holder": found, "city": sealed, "numbers": [4111111111111111]}
    text = " ".join(spoken)

    def answer(request: AgentRequest) -> Any:
        last = request.messages[-1]
        return gives(reply=f"{text} {sealed}") if last.role == "tool" else calls("look_up", what=text)

    texts = ("form", sealed, "12.50", f"help {text} {sealed}", f"expert {sealed} {text}")
    store = asyncio.run(run(mini(bank, input_tokens=100_000), ScriptedAgent(answer), texts, Observer(wanted)))
    assert any(isinstance(one, ToolRequested) for one in events_of(store, "talk"))
    shown = json.dumps([[str(one) for one in record.fields().values()] for record in wanted.records]).casefold()
    canary = spoken[1].removeprefix("password: ")
    for hidden in (canary, "".join(canary.split()), sealed, *sealed.split(), "canary"):
        assert hidden.casefold() not in shown


async def test_without_redaction_the_canaries_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with redaction taken out, the same previews hold them."""
    from interlock.service import observing

    monkeypatch.setattr(observing, "preview", lambda text, hidden=(): Preview(text[:200]))
    wanted = Kept(previews=True)
    await previews_of(f"help {CANARIES[0]}", "Yes.", wanted)
    assert CANARIES[0] in str(wanted.of("model_call")[0].fields())


# -- structlog ------------------------------------------------------------------------------------------


@pytest.fixture
def restored() -> Any:
    yield
    structlog.reset_defaults()


async def test_each_record_is_one_line_of_json(restored: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`INTERLOCK_LOG=json INTERLOCK_LOG_LEVEL=info`: every record of the log, and nothing else."""
    told = {"INTERLOCK_LOG": "json", "INTERLOCK_LOG_LEVEL": "info"}
    configured(told)
    observer = observer_told_by(told)
    store = await run(mini(), busy(), TEXTS, observer)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(one["event"], one["entry"]) for one in lines] == [
        (RECORDED[event.type], event.type) for event in events_of(store, "talk") if event.type in RECORDED
    ]
    taken = [one for one in lines if one["entry"] == "transition_taken"]
    assert [(one["source"], one["on"], one["target"]) for one in taken] == [
        (event.source, event.on, event.target)
        for event in events_of(store, "talk")
        if isinstance(event, TransitionTaken)
    ]


def test_nobody_listens_unless_asked() -> None:
    """At the usual level a runtime has no observer, and pays nothing for one."""
    assert observer_told_by({}) is None
    assert observer_told_by({"INTERLOCK_LOG_LEVEL": "error"}) is None
    told = observer_told_by({"INTERLOCK_LOG_LEVEL": "debug"})
    assert told is not None
    assert not told.previews
    asked = observer_told_by({"INTERLOCK_LOG_LEVEL": "info", "INTERLOCK_PREVIEWS": "on"})
    assert asked is not None
    assert asked.previews


async def test_a_preview_passes_only_as_redaction_made_it(restored: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A text under the field's name, from anywhere else, is left out."""
    configured({"INTERLOCK_LOG": "json", "INTERLOCK_LOG_LEVEL": "info"})
    log = structlog.get_logger()
    log.info("model_call", prompt_preview="my name is Maria")
    log.info("model_call", prompt_preview=Preview("[fact]"))
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert "prompt_preview" not in first
    assert second["prompt_preview"] == "[fact]"


async def test_the_record_log_drops_previews_it_was_not_asked_for(
    restored: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another listener wants them; this one does not."""
    configured({"INTERLOCK_LOG": "json", "INTERLOCK_LOG_LEVEL": "info"})
    agent = ScriptedAgent(lambda _: gives(reply="Yes."))
    await run(mini(), agent, ["help"], Observer(RecordLog(), Kept(previews=True)))
    assert "preview" not in capsys.readouterr().err
