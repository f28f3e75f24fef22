"""The conversation that tests move: crashes, recovery in one call, and time that stands still."""

from dataclasses import replace

import pytest

from interlock.fsm.policies.automata import automaton
from interlock.fsm.policies.make import policy
from interlock.fsm.policies.words import meanings_of
from interlock.service.acts import Crashes, Passes, Writes, act_of, data_of
from interlock.service.project import load_project
from interlock.testing.invariants import faults_of, policies_hold
from interlock.testing.talk import Talk


def test_one_recovery_takes_over_a_child_that_its_parent_wrote_to() -> None:
    """Found by the machine: the parent's recovery forwards a message, and so changes who has the child's effects."""
    with Talk(load_project("patterns/hierarchical_teams").program) as talk:
        for act in (Writes("Maria Keller"), Writes("Are you still there?"), Crashes(), Crashes()):
            talk.do(act)
            assert faults_of(talk) == []
        assert [one.name for one in talk.outside.waiting] == ["lead"]


def test_deadlines_are_met_at_their_moment_and_in_their_order() -> None:
    with Talk(load_project("bank").program) as talk:
        began = talk.clock.now()
        talk.do(Passes(4_000.0))
        assert talk.ended
        assert (talk.clock.now() - began).total_seconds() == 4_000
        assert (talk.times[talk.id][-1] - began).total_seconds() == 1_800


def test_acts_are_data() -> None:
    for act in (Writes("\ud800", scores={"card": "0.500000"}), Crashes(2), Passes()):
        assert act_of(data_of(act)) == act


def test_a_policy_that_was_broken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a conversation that ran without the policy, judged by it afterwards."""
    with Talk(load_project("patterns/hierarchical_teams").program) as talk:
        talk.do(Writes("Maria Keller"))
        assert policies_hold(talk) == []
        rule = policy("no_team", "Nobody asks the team.", never="enter:team")
        flow = talk.program.flow.changed(policies=(rule,))
        judged = replace(talk.program, flow=flow, watches=(automaton(rule, meanings_of(flow)),))
        real = talk.program_of
        monkeypatch.setattr(talk, "program_of", lambda stream: judged if stream == talk.id else real(stream))
        assert policies_hold(talk) == ["the policy 'no_team' is broken: Nobody asks the team."]
