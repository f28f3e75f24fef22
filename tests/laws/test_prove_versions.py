"""A flow against an older version of it: what it adds, removes and weakens, and what is taken over."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from interlock.contracts.errors import FlowError
from interlock.contracts.flow import AgentSpec, FactSpec, Flow, RouterSpec, State
from interlock.contracts.guard import GuardSpec
from interlock.contracts.subflow import SubflowSpec
from interlock.contracts.tools import ToolSpec
from interlock.contracts.values import Value
from interlock.fsm.prove.language import Behaviour, Language, difference
from interlock.fsm.prove.promises import promises
from interlock.fsm.prove.proof import proved
from interlock.fsm.prove.versions import Versus, rows_of, versus
from interlock.fsm.prove.weighing import WAYS
from support.broken import CODE, MENDED, program_of
from support.flows import FlowCase, flows


def against(old: str, new: str, moves: dict[str, str] | None = None) -> Versus:
    programs = program_of(old), program_of(new)
    return versus(*programs, (proved(programs[0]), proved(programs[1])), moves)


def changed(*pairs: tuple[str, str]) -> str:
    text = MENDED
    for old, new in pairs:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def test_a_flow_against_itself_is_nothing() -> None:
    """No behaviour, no row, no state, no promise."""
    found = against(MENDED, MENDED)
    assert (found.behaviours.added, found.behaviours.removed) == ((), ())
    assert (found.rows, found.unmapped, found.weakened, found.strengthened) == ((), (), (), ())
    assert found.behaviours.complete
    assert found.safe


DESK = "  - [desk,     answered, otherwise,             closed,   OR-6]\n"
CONFIRM = ', confirm: "You want {amount} back?"'
APPROVES = "decisions: [answered], approves: answered"
AGENT = "kind: agent, agent: billing,"
ACCEPTED = "checks: {P306: It is a belt.}\nfacts:\n"
PAID = "  - [paying,   done,     otherwise,             more,     OR-5]\n"
CLOSED = PAID.replace("more,  ", "closed,")
CHANGES = (
    ("deadline: 4h", "deadline: 9h", "weakened", "The deadline of 'desk' was 14,400 s and is 32,400 s."),
    ("deadline: 4h", "deadline: 1h", "strengthened", "The deadline of 'desk' was 14,400 s and is 3,600 s."),
    ("handoffs: 3", "handoffs: 9", "weakened", "The limit handoffs was 3 and is 9."),
    ("agent_calls: 6", "agent_calls: 5", "strengthened", "The limit agent_calls was 6 and is 5."),
    (CONFIRM, "", "weakened", "'details' has a question that reads the facts back no more."),
    ("decisions: [answered]", APPROVES, "strengthened", "'desk' has a decision that approves now."),
    (AGENT, f"{AGENT} tools: [pay_back],", "weakened", "The agent of 'invoices' may run 'pay_back' now."),
    ("facts:\n", ACCEPTED, "weakened", "P306 is accepted now: It is a belt."),
    (PAID, CLOSED, "rows", "changed: In paying, on done: go to closed (OR-5). It went to more."),
)


@pytest.mark.parametrize(("old", "new", "where", "says"), CHANGES, ids=lambda one: str(one)[:30])
def test_every_change_is_reported(old: str, new: str, where: str, says: str) -> None:
    """In words, and on its own side: what weakens is not what strengthens. The way back is its opposite."""
    found = against(MENDED, changed((old, new)))
    assert says in [one.says for one in getattr(found, where)]
    back = against(changed((old, new)), MENDED)
    opposite = {"weakened": "strengthened", "strengthened": "weakened", "rows": "rows"}[where]
    assert len(getattr(back, opposite)) == len(getattr(found, where))
    assert found.safe is (not found.weakened and not found.unmapped)


MONEY = "limits: {agent_calls: 6, handoffs: 3}"
WEIGHED = (
    (MONEY, "limits: {agent_calls: 6, handoffs: 3, turn_cost: 50}", "weakened",
     "The limit turn_cost was EUR 1.00 and is EUR 50.00."),
    (MONEY, f"{MONEY}\nperson_within: 30", "weakened",
     "A person had to be reached within 12 rows, and now within 30 rows."),
    ('maximum: "500.00"', 'maximum: "50000.00"', "weakened",
     "The maximum of the fact 'amount' was €500.00 and is €50,000.00."),
    ("choices: [billing, orders, customer]", "choices: [billing, orders, customer, all]", "weakened",
     "The choices of the fact 'next' has 'all' now."),
    ("Help with orders.", "Help with all of it.", "unjudged",
     "The instructions of the agent 'orders' read “… all of it.” where they read “… orders.”."),
    ("Help with orders.", "Help with orders., max_output_tokens: 9000", "weakened",
     "The longest output in tokens of the agent 'orders' was 1,000 and is 9,000."),
    ("Help with orders.", "Help with orders., history: none", "unjudged",
     "The history policy of the agent 'orders' was 'verbatim' and is 'none'."),
    ("Help with orders.", "Help with orders., model: big", "unjudged",
     "The model of the agent 'orders' was none and is 'big'."),
    ("role: clerk", "role: trainee", "unjudged", "The role of 'desk' was 'clerk' and is 'trainee'."),
    ("decisions: [answered]", "decisions: [answered], shows: [amount]", "strengthened",
     "The list of what is shown of 'desk' has 'amount' now."),
    ("say: Goodbye.", "say: Good night.", "neutral",
     "The text of 'closed' reads “Good night.” where it read “Goodbye.”."),
    ("is_(next, customer)", "is_(next, orders)", "unjudged",
     "What 'asking' asks on done is another, or in another order: whether more passes is to be read."),
)  # fmt: skip


@pytest.mark.parametrize(("old", "new", "where", "says"), WEIGHED, ids=lambda one: str(one)[:40])
def test_every_promise_is_weighed(old: str, new: str, where: str, says: str) -> None:
    """On its own side, and the way back on the opposite one; only what is neutral or stronger passes."""
    found = against(MENDED, changed((old, new)))
    assert says in [one.says for one in getattr(found, where)]
    assert found.safe is (where in ("neutral", "strengthened"))
    opposite = {"weakened": "strengthened", "strengthened": "weakened"}.get(where, where)
    assert getattr(against(changed((old, new)), MENDED), opposite)


def test_four_eyes_that_are_gone_are_weaker() -> None:
    """Whether or not every path had them: the new flow does not ask."""
    found = against(changed((MONEY, f"four_eyes: {{pay_back: 2}}\n{MONEY}")), MENDED)
    says = "Every path to 'pay_back' had to have approvals by 2 people, and now by nobody."
    assert [one.says for one in found.weakened] == [says]


def test_every_field_has_a_way_that_exists() -> None:
    """The table names no field that is not there: a typo would leave one unjudged for ever."""
    kinds: dict[str, tuple[type[Value], ...]] = {
        "flow": (Flow,), "limits": (), "fact": (FactSpec,), "agent": (AgentSpec,), "router": (RouterSpec,),
        "state": get_args(get_args(State)[0]), "tool": (ToolSpec,), "condition": (GuardSpec,),
        "child flow": (SubflowSpec,),
    }  # fmt: skip
    for kind, ways in WAYS.items():
        assert {*ways} <= {name for one in kinds[kind] for name in one.model_fields}


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of some JSON data, those with something in them as well."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _leaves(one, (*path, key))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _leaves(one, (*path, at))


def _mutants(data: Any, path: tuple[str | int, ...]) -> Iterator[Any]:
    """The data with what stands there changed or taken away, as JSON."""
    for change in ("gone", "other"):
        copy = json.loads(json.dumps(data))
        inside = copy
        for key in path[:-1]:
            inside = inside[key]
        there = inside[path[-1]]
        if change == "gone":
            del inside[path[-1]]
        elif isinstance(there, bool):
            inside[path[-1]] = not there
        elif isinstance(there, int):
            inside[path[-1]] = there + 1
        elif isinstance(there, str):
            inside[path[-1]] = f"{there}x" if there else "x"
        elif isinstance(there, list):
            inside[path[-1]] = [*reversed(there)]
        yield copy


def _named(old: Flow, new: Flow) -> bool:
    """Whether the comparison, without what is proved of either, says anything."""
    parts = rows_of(old, new, {}), promises(old, new, {})
    return any(True for part in parts for _ in part)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(flows(most_states=6), st.data())
def test_no_change_of_a_single_field_is_passed_over(case: FlowCase, data: st.DataObject) -> None:
    """Whatever is changed in a flow's canonical JSON, the comparison names something, either way."""
    written = case.flow.written()
    for path in data.draw(st.lists(st.sampled_from(list(_leaves(written))), max_size=20)):
        for mutant in _mutants(written, path):
            try:
                other = Flow.model_validate_json(json.dumps(mutant))
            except ValidationError:
                continue
            if other.digest != case.flow.digest:
                assert _named(case.flow, other), path
                assert _named(other, case.flow), path


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(flows(most_states=5), flows(most_states=5))
def test_no_pair_of_flows_is_compared_in_silence(one: FlowCase, other: FlowCase) -> None:
    assert _named(one.flow, other.flow) is (one.flow.digest != other.flow.digest)


def test_a_row_that_leads_elsewhere_adds_and_removes_behaviour() -> None:
    """With the shortest sequence of events that tells both apart."""
    found = against(MENDED, changed((PAID, CLOSED)))
    there = ("enter:greeting", "message", "enter:asking", "result:asking", "enter:details")
    path = (*there, "message", "confirmed:details", "enter:paying")
    asked = ("tool:pay_back", "done:pay_back")
    assert Behaviour("paying", (*asked, "enter:closed", "end:closed"), path) in found.behaviours.added
    assert Behaviour("paying", (*asked, "enter:more"), path) in found.behaviours.removed


def test_rows_in_another_order_are_reported() -> None:
    """They may decide something else, though each still stands there."""
    rows = [line for line in MENDED.splitlines(keepends=True) if "asking,   done" in line]
    found = against(MENDED, MENDED.replace("".join(rows[:2]), "".join(rows[1::-1])))
    assert [one.says for one in found.rows] == ["reordered: the rows of 'asking' on done are tried in another order."]


def test_a_state_that_is_gone_or_another_does_not_map() -> None:
    """One with another name maps where the option says so; one of another kind never."""
    renamed = MENDED.replace("more:  ", "further:").replace("more,", "further,")
    found = against(MENDED, renamed)
    assert [one.says for one in found.unmapped] == ["'more' has no state 'more' to stand in."]
    assert found.behaviours.added
    mapped = against(MENDED, renamed, {"more": "further"})
    assert (mapped.unmapped, mapped.behaviours.added, mapped.behaviours.removed, mapped.rows) == ((), (), (), ())
    kind = "desk:     {kind: human, role: clerk, decisions: [answered], deadline: 4h}"
    waiting = (kind, "desk: {kind: wait, deadline: 4h}"), (DESK, DESK.replace("answered", "message"))
    other = changed(*waiting)
    assert "'desk' is a human state, and 'desk' a wait state." in [one.says for one in against(MENDED, other).unmapped]


def test_an_outcome_that_is_gone_does_not_map() -> None:
    """A task that is open offers it."""
    both = changed(
        ("decisions: [answered]", "decisions: [answered, no]"), (DESK, DESK + DESK.replace("answered", "no"))
    )
    found = against(both, MENDED)
    assert [one.says for one in found.unmapped] == ["'desk' can end with 'no', and 'desk' cannot."]
    assert any(one.step == ("decided:desk.no", "enter:closed", "end:closed") for one in found.behaviours.removed)


def test_an_answer_that_was_proved_and_is_refuted_is_weaker() -> None:
    names = ("agent_calls", "handoffs", "same_pair", "steps")
    none = ", ".join(f"{name}: 10000" for name in names)
    lax = changed(("limits: {agent_calls: 6, handoffs: 3}", f"limits: {{{none}}}"))
    assert "P305 was proved and is refuted." in [one.says for one in against(MENDED, lax).weakened]
    assert "P305 was refuted and is proved." in [one.says for one in against(lax, MENDED).strengthened]


RULE = "{says: Nobody is paid unasked., never: tool:pay_back, unless_before: confirmed:details}"
POLICY = f"policies:\n  looked_first: {RULE}\n"


def test_a_policy_that_is_gone_or_another_is_weaker() -> None:
    ruled = MENDED.replace("transitions:\n", f"{POLICY}transitions:\n")
    ruled += "  - [any, policy, otherwise, desk, OR-6]\n"
    other = ruled.replace("confirmed:details", "message")
    first = "Never asking pay_back, unless before it the customer's yes to details."
    gone = f"The policy 'looked_first' is gone: {first}"
    assert gone in [one.says for one in against(ruled, MENDED).weakened]
    new = f"The policy 'looked_first' is new: {first}"
    assert new in [one.says for one in against(MENDED, ruled).strengthened]
    both = f"The policy 'looked_first' said: {first} It says: Never asking pay_back, unless before it a message."
    assert both in [one.says for one in against(ruled, other).unjudged]


def test_a_policy_that_is_only_enforced_is_weaker() -> None:
    """The rows need not keep it any more: that it is "proved" then is no strength."""
    ruled = MENDED.replace("transitions:\n", f"{POLICY}transitions:\n").replace(
        "confirmed:details", "approved:pay_back"
    )
    ruled += "  - [any, policy, otherwise, desk, OR-6]\n"
    enforced = ruled.replace("never: tool", "enforced: true, never: tool")
    found = against(ruled, enforced)
    words = "The policy 'looked_first' need not be kept by the rows any more: it is only enforced."
    assert words in [one.says for one in found.weakened]
    assert [one.says for one in found.strengthened] == []
    back = against(enforced, ruled)
    assert [one.says for one in back.strengthened] == [
        "The policy 'looked_first' must be kept by the rows now, not only be enforced."
    ]


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(flows(most_states=5), flows(most_states=5))
def test_what_one_adds_the_other_removes(one: FlowCase, other: FlowCase) -> None:
    """Of random flows: a flow differs from itself in nothing, and each difference is the other's, turned round."""
    first, second = Language(one.flow, most=5_000), Language(other.flow, most=5_000)
    same = difference(first, first)
    assert (same.added, same.removed) == ((), ())
    there, back = difference(first, second, most=500), difference(second, first, most=500)
    assert (there.added, there.removed) == (back.removed, back.added)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(flows(most_states=5))
def test_a_witness_is_a_behaviour_of_one_and_not_of_the_other(case: FlowCase) -> None:
    """Every added one is run through both languages, after a row has been taken away or led elsewhere."""
    flow = _led_elsewhere(case.flow)
    old, new = Language(case.flow, most=5_000), Language(flow, most=5_000)
    found = difference(old, new, most=300)
    for one in found.added:
        assert _allows(new, one.words)
        assert not _allows(old, one.words)
    for one in found.removed:
        assert _allows(old, one.words)
        assert not _allows(new, one.words)


def _led_elsewhere(flow: Flow) -> Flow:
    rows = list(flow.transitions)
    rows[0] = rows[0].changed(target=flow.states[-1].name, push=False)
    return flow.changed(transitions=tuple(rows))


def _allows(language: Language, words: tuple[str, ...]) -> bool:
    """Whether the words can be cut into steps that lead on: every cut is tried."""
    here = (
        {(frozenset(language.start), len(language.first))} if words[: len(language.first)] == language.first else set()
    )
    while here:
        following = set()
        for spots, at in here:
            if at == len(words):
                return True
            for letter, targets in language.steps(spots).items():
                if words[at : at + len(letter)] == letter:
                    following.add((frozenset(targets), at + len(letter)))
        here = following
    return False


def test_the_command_compares_with_a_file_alone(tmp_path: Path) -> None:
    """As `git show` writes it: the code is the new flow's. Exit 1 where something is weaker, else 0."""
    from typer.testing import CliRunner

    import interlock.examples.bank as bank
    from interlock.cli.main import app

    text = (Path(bank.__file__).parent / "flow.yaml").read_text("utf-8")
    old = tmp_path / "old.yaml"

    def ran(*arguments: object) -> tuple[int, Any]:
        result = CliRunner().invoke(app, ["check", "bank", "--json", *map(str, arguments)])
        return result.exit_code, json.loads(result.stdout)

    old.write_text(text.replace("agent_calls: 6", "agent_calls: 9"), "utf-8")
    code, document = ran("--against", old)
    assert (code, document["against"]["safe"]) == (0, True)
    assert document["against"]["strengthened"] == [
        {"place": "limits.agent_calls", "says": "The limit agent_calls was 9 and is 6."}
    ]
    assert (document["against"]["bills"]["old"]["turn"]["calls"], document["proof"]["bill"]["turn"]["calls"]) == (9, 6)
    old.write_text(text.replace("agent_calls: 6", "agent_calls: 5"), "utf-8")
    assert ran("--against", old)[0] == 1
    code, document = ran("--against", old, "--moves", "nowhere=greeting")
    assert code == 2
    assert document["error"]["what"] == "'nowhere=greeting' does not name a state of the old flow and one of the new."
    old.write_text("flow: nothing\n", "utf-8")
    assert ran("--against", old)[0] == 1
    with pytest.raises(FlowError):
        program_of("flow: nothing\n")
    assert CODE.tools
