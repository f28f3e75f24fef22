"""A flow against an older version of it: what it adds, removes and weakens, and what is taken over."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from interlock.contracts.errors import FlowError
from interlock.contracts.flow import Flow
from interlock.fsm.prove.language import Behaviour, Language, difference
from interlock.fsm.prove.proof import proved
from interlock.fsm.prove.versions import Versus, versus
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
    none = ", ".join(f"{name}: 1000000000" for name in names)
    lax = changed(("limits: {agent_calls: 6, handoffs: 3}", f"limits: {{{none}}}"))
    assert "P305 was proved and is refuted." in [one.says for one in against(MENDED, lax).weakened]
    assert "P305 was refuted and is proved." in [one.says for one in against(lax, MENDED).strengthened]


RULE = "{says: Nobody is paid unasked., never: tool:pay_back, unless_before: confirmed:details}"
POLICY = f"policies:\n  looked_first: {RULE}\n"


def test_a_policy_that_is_gone_or_another_is_weaker() -> None:
    ruled = MENDED.replace("transitions:\n", f"{POLICY}transitions:\n")
    ruled += "  - [any, policy, otherwise, desk, OR-6]\n"
    other = ruled.replace("confirmed:details", "message")
    assert "The policy 'looked_first' is gone." in [one.says for one in against(ruled, MENDED).weakened]
    assert "The policy 'looked_first' is new." in [one.says for one in against(MENDED, ruled).strengthened]
    words = [one.says for one in against(ruled, other).weakened]
    assert "The policy 'looked_first' says something else: read both." in words


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
