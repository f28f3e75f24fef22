"""The conversation that tests move: crashes, recovery in one call, and time that stands still."""

from dataclasses import replace

import pytest

from interlock.contracts.errors import LogBroken
from interlock.fsm.policies.automata import automaton
from interlock.fsm.policies.make import policy
from interlock.fsm.policies.words import meanings_of
from interlock.fsm.program import compiled
from interlock.fsm.replay import redecide
from interlock.service.acts import Crashes, Passes, Writes, act_of, data_of
from interlock.service.project import load_project
from interlock.testing.holding import log_faults
from interlock.testing.invariants import faults_of, policies_hold
from interlock.testing.talk import Talk
from support.runtime import mini


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


def test_a_moved_conversation_is_decided_again_by_the_flow_of_each_stretch() -> None:
    """Nothing is wrong with its log; the control: by one flow alone, a stretch names a state that is not there."""
    before = mini()
    states = tuple(one.changed(name="anything") if one.name == "more" else one for one in before.flow.states)
    names = {"more": "anything"}
    rows = tuple(
        one.changed(source=names.get(one.source, one.source), target=names.get(one.target, one.target))
        for one in before.flow.transitions
    )
    after = compiled(before.flow.changed(version=2, states=states, transitions=rows), before.code)
    with Talk(before) as talk:
        talk.do(Writes("what?"))
        assert talk.conversation().state == "more"
        assert talk.move_to(after, names) == ()
        assert talk.conversation().state == "anything"
        talk.do(Writes("bye"))
        assert talk.ended
        assert log_faults(talk) == []
        with pytest.raises(LogBroken, match="The entry leads to the state 'anything'"):
            redecide(talk.program, talk.id, talk.entries())
        with pytest.raises(LogBroken, match="The entry leads to the state 'more'"):
            redecide(talk.program_of(talk.id), talk.id, talk.entries())


def test_a_move_that_cannot_be_made_says_why() -> None:
    with Talk(mini()) as talk:
        assert talk.move_to(mini()) == ("it runs on this flow already",)
        talk.do(Writes("help"))
        assert talk.move_to(mini(version=2)) != ()
        assert log_faults(talk) == []
