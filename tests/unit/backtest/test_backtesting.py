"""A history through another flow: processes, resuming, selection, standards, and flows changed on purpose."""

import asyncio
import json
import shutil
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts.errors import CallError
from interlock.contracts.flow import Flow
from interlock.contracts.routing import RuleSpec
from interlock.fsm.program import Program, compiled
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.backtesting import Finished, Selection, Variant, backtest_log
from interlock.service.clock import ManualClock
from interlock.service.executing import InProcess, Processes, executor_for
from interlock.service.fork_points import taken
from interlock.service.project import load_project
from interlock.service.runtime import Runtime
from interlock.service.standards import measured, read_standards
from interlock.service.tally import Tally, read_tally
from interlock.service.wiring import open_log
from support.backtests import stored_through

SAID = ("I lost my card", "what is this payment of 20 euros", "hello there", "my card does not work at the machine")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with a dozen conversations of the bank, a day between each."""
    path = tmp_path_factory.mktemp("history") / "log.db"
    asyncio.run(_made(path))
    return path


async def _made(path: Path) -> None:
    bank, store = load_project("bank"), SqliteStore(path)
    assert bank.scripted
    clock = ManualClock()
    async with Runtime(store, bank.program, bank.scripted(), clock=clock) as runtime:
        for number in range(12):
            outcome = await runtime.start(conversation=f"00000000-0000-4000-8000-0000000000{number:02}")
            for text in SAID[number % 4 :]:
                outcome = await runtime.say(outcome.conversation, text)
            clock.advance(86_400)
    store.close()


def run(log: Path, *thresholds: tuple[str, str], **rest: Any) -> tuple[Finished, list[dict[str, Any]]]:
    turns: list[dict[str, Any]] = []
    selection = rest.pop("selection", Selection())
    executor = rest.pop("executor", InProcess())
    found = backtest_log(log, Variant("bank", thresholds), selection, executor, turns=turns.append, **rest)
    return found, sorted(turns, key=lambda turn: (turn["id"], turn["version"]))


def test_the_same_flow_is_the_same_and_nothing_is_written(log: Path) -> None:
    """Every turn; and the log's bytes are what they were."""
    before = log.read_bytes()
    found, turns = run(log)
    assert (found.tally.conversations, found.tally.turns, turns) == (12, 42, [])
    assert found.tally.verdicts == {"same": 42}
    assert found.tally.paid == found.tally.pays > 0
    assert log.read_bytes() == before


def test_forks_are_left_out_and_counted(log: Path, tmp_path: Path) -> None:
    """What they begin with is counted once, in the conversation that they were taken from; a tally keeps the number."""
    whole, _ = run(log, ("", "0.9"))
    path = tmp_path / "log.db"
    for end in ("", ".key"):
        shutil.copy(f"{log}{end}", f"{path}{end}")
    store = open_log(path)
    stream = next(iter(store.streams()))
    for name in ("f0000000-0000-4000-8000-000000000000", "f0000000-0000-4000-8000-000000000001"):
        taken(store, stream, 2, name)
    store.close()
    found, _ = run(path, ("", "0.9"))
    assert found.tally.forks == 2
    assert {**found.tally.document(), "forks": 0} == whole.tally.document()
    assert read_tally(found.tally.document()).forks == 2


def test_processes_find_what_one_process_finds(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums, the turns and the ten that differ most, whoever was ready first."""
    monkeypatch.setattr("interlock.service.backtesting.PIECE", 3)
    alone, alone_turns = run(log, ("triage", "0.9"))
    many, many_turns = run(log, ("triage", "0.9"), executor=Processes(2))
    assert alone.tally.verdicts["rerouted"] > 0
    assert alone.tally.document() == many.tally.document()
    assert alone_turns == many_turns
    assert read_tally(json.loads(json.dumps(alone.tally.document()))).document() == alone.tally.document()


def test_a_broken_off_backtest_goes_on_where_it_was(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept is not done again, a line that was cut off is, and the result is that of one run."""
    monkeypatch.setattr("interlock.service.backtesting.PIECE", 3)
    whole, turns = run(log, ("", "0.9"))
    kept = tmp_path / "kept.jsonl"
    run(log, ("", "0.9"), resume=kept)
    lines = kept.read_text("utf-8").splitlines(keepends=True)
    assert len(lines) == 5
    kept.write_text("".join(lines[:3]) + lines[3][:40], "utf-8")
    again, again_turns = run(log, ("", "0.9"), resume=kept)
    assert again.resumed == 6
    assert again.tally.document() == whole.tally.document()
    assert again_turns == turns
    assert run(log, ("", "0.9"), resume=kept)[0].resumed == 12


def test_results_of_another_question_are_not_taken(log: Path, tmp_path: Path) -> None:
    """Another threshold or selection is another question."""
    kept = tmp_path / "kept.jsonl"
    run(log, resume=kept)
    for rest in ({"selection": Selection(sample=3)}, {}):
        with pytest.raises(CallError, match=r"The file holds the results of another backtest: another flow, selection"):
            run(log, ("", "0.8" if not rest else "0.5"), resume=kept, **rest)
    with pytest.raises(CallError, match=r"The file of results cannot be written: Is a directory\."):
        run(log, resume=tmp_path)


def test_conversations_are_selected(log: Path) -> None:
    """By the day they began, by a label, and drawn by a seed that draws the same again."""
    since = Selection(since=datetime(2026, 1, 10, tzinfo=UTC))
    assert run(log, selection=since)[0].tally.conversations == 7
    labelled = run(log, selection=Selection(label="lost_card"))[0].tally
    assert (labelled.conversations, labelled.skipped) == (3, 9)
    drawn = [run(log, ("", "0.9"), selection=Selection(sample=5, seed=seed))[1] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_router_that_is_not_there_is_a_wrong_call(log: Path) -> None:
    """Those that are there are listed."""
    with pytest.raises(CallError, match=r"The flow has no router 'nowhere'\. Fix: It has 'triage'\."):
        run(log, ("nowhere", "0.5"))


def test_a_classifier_that_is_not_there_is_a_wrong_call(log: Path) -> None:
    """The reason and the place."""
    with pytest.raises(CallError, match=r"The classifier cannot be read: No such file or directory\."):
        backtest_log(log, Variant("bank", (), (("", "/nowhere.json"),)), Selection(), InProcess())


def test_one_process_is_this_one() -> None:
    """More are processes of their own."""
    assert (executor_for(0), executor_for(1), executor_for(3)) == (InProcess(), InProcess(), Processes(3))


# -- standards ------------------------------------------------------------------------------------------


def test_standards_are_met_or_not() -> None:
    """Shares are of all turns, numbers are numbers; exactly the limit still holds."""
    tally = Tally(conversations=9, failed=1, turns=200)
    tally.verdicts.update({"same": 190, "rerouted": 2, "illegal": 8})
    tally.broke.update({"P": 1})
    tally.breaks.update({"P": 3, "Q": 1})
    rules = ["rerouted>1%", "rerouted>0.99%", "illegal > 8", "illegal>7", "changed>5%", "policies>2", "failed>0"]
    met = measured(read_standards(rules), tally)
    assert [(one.number, one.of, one.holds) for one in met] == [
        (2, 200, True), (2, 200, False), (8, 200, True), (8, 200, False), (10, 200, True), (3, 200, False),
        (1, 10, False),
    ]  # fmt: skip
    assert met[0].standard.most == Fraction(1)


@pytest.mark.parametrize("rule", ["rerouted", "same>1", "rerouted<1%", "moved>1%", "rerouted>-1", ""])
def test_what_is_no_standard_is_refused(rule: str) -> None:
    """With how one is written."""
    with pytest.raises(CallError, match=r"is no standard\. Fix: Write `NAME>NUMBER` or `NAME>PERCENT%`, as in"):
        read_standards([rule])


# -- flows changed on purpose -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def history() -> tuple[Program, MemoryStore]:
    return asyncio.run(_history())


async def _history() -> tuple[Program, MemoryStore]:
    bank, store = load_project("bank"), MemoryStore()
    assert bank.scripted
    async with Runtime(store, bank.program, bank.scripted()) as runtime:
        for number in range(4):
            outcome = await runtime.start(conversation=f"00000000-0000-4000-8000-00000000000{number}")
            for text in SAID[number:]:
                outcome = await runtime.say(outcome.conversation, text)
    return bank.program, store


def verdicts(history: tuple[Program, MemoryStore], flow: Flow, *, texts: bool = True) -> list[Any]:
    program, store = history
    changed = compiled(flow, program.code)
    return [
        turn
        for stream in store.streams()
        for turn in stored_through(changed, program.flow, store, stream, texts=texts).different
    ]


def test_other_instructions_need_a_model(history: tuple[Program, MemoryStore]) -> None:
    """The recorded answer was to another prompt; every turn that asked this agent, and no other."""
    flow = history[0].flow
    agents = tuple(one.changed(instructions=f"{one.instructions} Be brief.") for one in flow.agents)
    found = verdicts(history, flow.changed(agents=agents))
    assert {turn.verdict for turn in found} == {"needs_model"}
    assert all(turn.needs and turn.needs[0].startswith("agent ") for turn in found)
    assert all(turn.pays == 0 and turn.paid > 0 and turn.pays_at_most > 0 for turn in found)


def test_a_state_that_is_gone_is_illegal(history: tuple[Program, MemoryStore]) -> None:
    """Conversations that stood in it are told so, with its name."""
    flow = history[0].flow
    gone = "human_desk"
    states = tuple(one.changed(name="renamed") if one.name == gone else one for one in flow.states)
    rows = tuple(
        row.changed(
            source="renamed" if row.source == gone else row.source,
            target="renamed" if row.target == gone else row.target,
        )
        for row in flow.transitions
    )
    found = verdicts(history, flow.changed(states=states, transitions=rows))
    assert f"the flow has no state {gone!r}" in {turn.reason for turn in found if turn.verdict == "illegal"}


def test_a_smaller_limit_is_reached_now(history: tuple[Program, MemoryStore]) -> None:
    """And it is named."""
    flow = history[0].flow
    found = verdicts(history, flow.changed(limits=flow.limits.changed(conversation_messages=1)))
    assert {(turn.verdict, turn.now) for turn in found} == {("limit", "conversation_messages")}
    assert {turn.reason for turn in found} == {"limit reached: conversation messages"}


def test_other_words_go_the_same_way_and_are_noted(history: tuple[Program, MemoryStore]) -> None:
    """A clause is not where a conversation goes."""
    flow = history[0].flow
    rows = tuple(row.changed(policy=f"{row.policy}-new") for row in flow.transitions)
    found = verdicts(history, flow.changed(transitions=rows))
    assert {(turn.verdict, turn.differs) for turn in found} == {("same", ("clause",))}


def test_other_rules_are_measured_on_the_texts(history: tuple[Program, MemoryStore]) -> None:
    """A new rule reads what was written; where that is erased, nothing is guessed."""
    flow = history[0].flow
    (router,) = flow.routers
    label = next(iter(router.labels))
    rules = (*router.rules, RuleSpec(label=label, any=("hello there",)))
    changed = flow.changed(routers=(router.changed(rules=rules),))
    found = verdicts(history, changed)
    # In a form, a label without a flow-wide row is no digression: the message is then an answer.
    assert {turn.now for turn in found if turn.verdict == "rerouted"} == {label, "nothing"}
    erased = verdicts(history, changed, texts=False)
    assert {turn.verdict for turn in erased} == {"unknown"}
    assert {turn.reason for turn in erased} <= {
        "its router measures something else, and the text was erased",
        "its rules read more, and the text was erased",
    }


def test_rows_that_lead_elsewhere_move_who_took_them(history: tuple[Program, MemoryStore]) -> None:
    """From the state that was to the state that is; the recorded answers still answer what is asked before."""
    flow = history[0].flow
    other = next(one.name for one in flow.states if one.kind == "human")
    rows = tuple(
        row.changed(target=other) if (row.source, row.on) == ("advise_card", "done") else row
        for row in flow.transitions
    )
    found = verdicts(history, flow.changed(transitions=rows))
    assert found
    assert {(turn.verdict, turn.by, turn.was, turn.now) for turn in found} == {
        ("rerouted", "state", "anything_else", other)
    }
    assert all(turn.needs == () and turn.pays == turn.paid for turn in found)
