"""Hierarchical teams: a manager, a lead, a worker; what goes down, what comes back, and how an error comes up."""

from typing import Any

import pytest

from interlock.agents.scripted import fails, gives
from interlock.contracts.events import ConversationStarted
from interlock.contracts.subflow import Failing, Place
from interlock.contracts.subflow_events import SubflowEnded, SubflowStarted
from interlock.fsm.check import faults_in
from support.patterns import Play, conversation_of, playing, project
from support.runtime import events_of, of_type, path_of
from support.subflows import family_of

ASK, _ = conversation_of("hierarchical_teams")
WORKER = Place(flow="worker", state="search")
LEAD = Place(flow="team_lead", state="searching")
TOP = Place(flow="hierarchical_teams", state="team")


def ends_of(play: Play) -> list[SubflowEnded]:
    """How each child ended, from the lowest level to the top."""
    found: list[SubflowEnded] = []
    for stream in reversed(family_of(play.store, play.id)):
        found += of_type(play.store, stream, SubflowEnded)
    return found


async def test_each_level_has_a_log_of_its_own_and_is_given_only_what_it_needs() -> None:
    async with playing("hierarchical_teams") as play:
        outcome = await play.say(ASK)
        assert outcome.text == "Your rate follows the reference rate, which fell in June."
        _, lead, worker = family_of(play.store, play.id)
        assert path_of(play.store, lead) == ["done>searching", "found>writing", "done>delivered"]
        assert path_of(play.store, worker) == ["done>found"]
        given = {
            stream: [fact.name for fact in of_type(play.store, stream, ConversationStarted)[0].facts]
            for stream in (lead, worker)
        }
        assert given == {lead: ["question"], worker: ["search"]}
        depths = [of_type(play.store, stream, SubflowStarted)[0].depth for stream in (play.id, lead)]
        assert depths == [1, 2]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (fails("timeout", kind="timeout"), "timeout"),
        (fails("connection"), "failed"),
        (gives(outcome="unsure", finding=""), "unsure"),
        ("no contract at all", "invalid"),
    ],
)
async def test_an_error_three_levels_down_surfaces_named(trouble: Any, reason: str) -> None:
    """The manager's log says what failed, where, and by which way it came up."""
    async with playing("hierarchical_teams", {"searcher": trouble}) as play:
        outcome = await play.say(ASK)
        assert outcome.standing == "with_person"
        lowest, highest = ends_of(play)
        assert lowest.report.failing == Failing(reason=reason, path=(WORKER, LEAD))
        assert highest.report.failing == Failing(reason=reason, path=(WORKER, LEAD, TOP))
        assert play.path == ["complete>team", "undelivered>desk"]


async def test_an_error_two_levels_down_names_that_level() -> None:
    """The worker did its part; the lead's author failed."""
    async with playing("hierarchical_teams", {"author": fails("connection")}) as play:
        await play.say(ASK)
        (_, highest) = ends_of(play)
        writing = Place(flow="team_lead", state="writing")
        assert highest.report.failing == Failing(reason="failed", path=(writing, TOP))


async def test_the_manager_may_let_the_team_try_again() -> None:
    """A second child conversation, with a log of its own; the first stays as it was."""
    async with playing("hierarchical_teams", {"searcher": fails("connection")}) as play:
        await play.say(ASK)
        before = {stream: len(events_of(play.store, stream)) for stream in family_of(play.store, play.id)[1:]}
        await play.decide("again")
        assert len(play.of(SubflowStarted)) == 2
        assert all(len(events_of(play.store, stream)) == length for stream, length in before.items())


async def test_a_team_that_hangs_is_over_at_its_deadline() -> None:
    """Its parent goes on; every level below is ended."""
    async with playing("hierarchical_teams", {"author": fails("timeout", kind="timeout")}) as play:
        await play.say(ASK)
        assert play.path == ["complete>team", "undelivered>desk"]
        assert not play.store.summaries(undecided=True)


def test_a_team_inside_a_team_past_the_limit_is_refused() -> None:
    """Proved over the flows, before anything runs."""
    flow = project("hierarchical_teams").program.flow
    (fault,) = faults_in(flow.changed(limits=flow.limits.changed(subflow_depth=1)))
    assert (fault.code, fault.what) == (
        "S194",
        "The flow 'team_lead' stands 2 deep with its own subflows; the limit is 1.",
    )
