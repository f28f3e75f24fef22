"""The two incidents, with the same agents in a plain loop (the control, which must run away) and under Interlock."""

import json
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from interlock.agents.scripted import ScriptedAgent, calls
from interlock.cli import storm
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.events import AgentRequested, HandoffMade, LimitReached, ReplySent, TaskOpened, TransitionTaken
from interlock.contracts.limits import Limits, Usage
from interlock.examples.storm.code import MESSAGE, WHO_IS_SURE, scripted
from interlock.examples.storm.loop import plain_loop
from interlock.fsm.program import compiled
from interlock.fsm.prove.proof import proved
from interlock.service.project import Project
from interlock.service.wiring import open_log
from support.patterns import playing

DECLARED = {
    "ping_pong": ("handoffs", 3, ["router", "billing", "router", "billing"]),
    "self_handoff": ("self_handoffs", 1, ["triage", "triage"]),
}


@pytest.mark.parametrize("name", DECLARED)
async def test_the_control_runs_away(name: str) -> None:
    """Nothing stops it, and each call costs more than the one before: the whole history goes along."""
    flow = storm.storm_project(name).program.flow
    spent = await plain_loop(scripted(), flow.agents, MESSAGE, calls=200)
    assert len(spent) == 201
    calls = [after.tokens - before.tokens for before, after in pairwise(spent)]
    assert calls == sorted(calls)
    assert calls[-1] > 10 * calls[0]


@pytest.mark.parametrize("name", DECLARED)
async def test_under_interlock_it_stops_at_the_declared_limit(name: str) -> None:
    """The customer is told, a person has the case, and the log shows the whole cycle, row by row."""
    limit, maximum, asked = DECLARED[name]
    async with playing(storm.storm_project(name)) as play:
        outcome = await play.say(MESSAGE)
        assert [(one.limit, one.value, one.maximum) for one in play.of(LimitReached)] == [(limit, maximum, maximum)]
        assert [one.agent for one in play.of(AgentRequested)] == asked
        assert len(play.of(HandoffMade)) == (maximum if name == "ping_pong" else 0)
        assert outcome.standing == "with_person"
        assert outcome.replies[-1].startswith("I cannot settle this by myself.")
        assert [one.role for one in play.of(TaskOpened)] == ["clerk"]
        moves = [(one.source, one.target) for one in play.of(TransitionTaken) if one.on == "done"]
        assert len(moves) == len(asked)
        assert play.of(TransitionTaken)[-1].on == "limit"
        assert play.of(ReplySent)[-1].text == "state.desk"


async def test_a_flow_that_allows_more_stops_later_and_still_stops() -> None:
    """The limit is what stops it, not the script: with others declared it stops elsewhere."""
    base = storm.storm_project("self_handoff")
    wide = base.program.flow.changed(limits=Limits(self_handoffs=5, same_pair=99, handoffs=99, agent_calls=4))
    again = Project(compiled(wide, base.program.code), base.source, scripted=base.scripted)
    async with playing(again) as play:
        await play.say(MESSAGE)
        assert [(one.limit, one.value) for one in play.of(LimitReached)] == [("agent_calls", 4)]


async def test_an_agent_that_turns_to_the_customer_is_left_alone() -> None:
    """No limit is reached where nothing goes round."""
    answer = json.dumps({"next": "customer", "reply": "It was charged once."})
    async with playing(storm.storm_project("ping_pong"), ScriptedAgent(lambda _: answer)) as play:
        outcome = await play.say(MESSAGE)
        assert play.of(LimitReached) == []
        assert outcome.replies[0] == "It was charged once."


def test_the_demo_shows_both_and_says_that_it_held(capsys: pytest.CaptureFixture[str]) -> None:
    assert storm.storm(None, keep=False, as_json=False) == 0
    shown = capsys.readouterr().out
    for words in (
        "Billing and router ask each other",
        "A triage agent hands to itself",
        "still going after 500 calls",
        "limit reached: handoffs, 3 of 3",
        "limit reached: self handoffs, 1 of 1",
        "a clerk has the case",
        "every decision is the same when made again",
    ):
        assert words in " ".join(shown.split())


def test_the_demo_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert storm.storm(None, keep=False, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["held"] is True
    first, second = document["incidents"]
    assert (first["interlock"]["stopped_by"], first["interlock"]["handoffs"]) == ("handoffs", 3)
    assert (second["interlock"]["stopped_by"], second["interlock"]["calls"]) == ("self_handoffs", 2)
    assert all(one["plain_loop"]["calls"] == 500 for one in document["incidents"])
    assert all(one["interlock"]["proved"] for one in document["incidents"])


def test_the_demo_keeps_its_log_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both incidents in one log, to be looked at with the other commands."""
    file = tmp_path / "storm.db"
    assert storm.storm(file, keep=False, as_json=False) == 0
    assert f"interlocklog--db{file}" in "".join(capsys.readouterr().out.split())
    with closing(open_log(file)) as store:
        assert len(store.streams()) == 2
        assert all(one.source.endswith(".yaml") for one in store.flows())


@pytest.mark.parametrize("name", DECLARED)
async def test_the_worst_agents_reach_the_bill_and_never_pass_it(name: str) -> None:
    """Each asks for tools that it has not, then breaks its contract, then hands on: as many calls as the bill says."""
    project = storm.storm_project(name)
    most = proved(project.program).bills.turn.most
    rounds = project.program.flow.limits.tool_rounds
    asked: list[str] = []

    def worst(request: AgentRequest) -> AgentReply:
        place = len(asked) % (rounds + 2)
        asked.append(request.agent)
        if place < rounds:
            return replace(calls("nothing"), usage=Usage(input_tokens=1))
        handed = json.dumps({"next": WHO_IS_SURE[request.agent], "reply": "One moment."})
        return AgentReply(text="no JSON" if place == rounds else handed, usage=Usage(input_tokens=1))

    async with playing(project, ScriptedAgent(worst)) as play:
        await play.say(MESSAGE)
        assert len(play.of(AgentRequested)) == most.calls == len(asked)
        assert play.of(LimitReached)


def test_the_demo_shows_what_the_check_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Refused without limits, with the cycle; passed with them, and the bill is a number."""
    assert storm.storm(None, keep=False, as_json=True) == 0
    found = [one["check"] for one in json.loads(capsys.readouterr().out)["incidents"]]
    assert [one["without_limits"] for one in found] == ["refused", "refused"]
    assert [one["with_limits"] for one in found] == ["passed", "passed"]
    assert found[0]["cycle"][0] == found[0]["cycle"][-1]
    assert set(found[0]["cycle"]) == {"routing", "invoices"}
    assert set(found[1]["cycle"]) == {"sorting"}
    assert found[0]["calls_at_worst"] == 8
    assert storm.storm(None, keep=False, as_json=False) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "without its limits `interlock check` refuses it" in shown
    assert "the bill falls from unbounded to 8 model calls" in shown
