"""Histories of every released log format are decided again, byte for byte, by today's code."""

import json
from collections.abc import Sequence

import pytest

from interlock.contracts.events import TransitionTaken
from interlock.contracts.facts import Facts
from interlock.fsm.conversation import Conversation
from interlock.fsm.evolve import evolve
from interlock.fsm.program import Program
from interlock.fsm.replay import Recorded, redecide
from support import golden
from support.figures import record as figure
from support.golden_many import Samples, generated


@pytest.mark.parametrize("release", golden.releases())
def test_a_released_history_is_decided_again_without_a_difference(release: str) -> None:
    """An old log replays for ever; a change of shape needs an upcaster, not another history."""
    found = golden.read(release)
    program = golden.program(found.flow, golden.BANK)
    assert len(found.streams) >= 14
    for stream, entries in found.streams.items():
        again = redecide(program, stream, entries)
        assert (again.events, again.divergence) == (len(entries), None)
        assert again.conversation.state in program.states


@pytest.mark.parametrize("release", golden.releases())
def test_a_released_history_is_chained(release: str) -> None:
    """Every entry names the leaf of the one before."""
    for entries in golden.read(release).streams.values():
        previous = None
        for version, entry in enumerate(entries):
            assert (entry.envelope.ver, entry.envelope.prev) == (version, previous)
            previous = entry.leaf.hex()


@pytest.mark.parametrize("release", golden.releases())
def test_one_changed_guard_is_found_at_the_first_event_it_touches(release: str) -> None:
    """The control: a limit of €100 that became €10 shows where it first decided something."""
    found = golden.read(release)

    def stricter(facts: Facts, limit: int) -> bool:
        return golden.amount_at_most(facts, limit // 10)

    program = golden.program(found.flow, {**golden.BANK, "amount_at_most": stricter})
    different = [again for again in (redecide(program, *one) for one in found.streams.items()) if again.divergence]
    assert different
    for again in different:
        assert again.divergence is not None
        assert '"type":"transition_taken"' in again.divergence.recorded
        assert "amount_at_most" in again.divergence.recorded


def _redecided(release: str, number: int) -> None:
    """`number` conversations in the release's format are decided again byte for byte; a guard that is one line
    stricter is found in exactly those that it touches, at the first event that it touches."""
    found = golden.read(release)
    program, strict = golden.program(found.flow, golden.BANK), golden.program(found.flow, {**golden.BANK, **STRICTER})
    fields = Samples.of(found).fields
    conversations = events = touched = 0
    for stream, entries in generated(found, program, number):
        again = redecide(program, stream, entries)
        assert (again.events, again.divergences, again.divergence) == (len(entries), 0, None)
        conversations, events = conversations + 1, events + len(entries)
        for one in entries:
            known = fields.get(one.envelope.type)
            assert known is None or json.loads(one.data)["data"].keys() <= known | OPTIONAL, one.envelope.type
        expected = _first_touched(program, stream, entries)
        other = redecide(strict, stream, entries)
        assert (other.divergence.version if other.divergence else None) == expected
        touched += expected is not None
    assert conversations == number
    assert events > 8 * number
    assert touched >= number // 100
    row, beside = f"conversations of format {release} decided again", f"of format {release}, with a stricter guard"
    figure("F16", row, tried=conversations, wrong=0, seen={"events": events})
    figure("F16", beside, tried=conversations, wrong=touched, control=True)


def _first_touched(program: Program, stream: str, entries: Sequence[Recorded]) -> int | None:
    """Where the limit of €100 held and one of €10 does not: the first event that says so, read off its verdicts."""
    conversation = Conversation(id=stream)
    for version, one in enumerate(entries):
        if isinstance(one.event, TransitionTaken):
            for verdict in one.event.verdicts:
                amount = conversation.facts.integer("amount")
                if "amount_at_most" in verdict.guard and verdict.result == "holds" and (amount or 0) > 1_000:
                    return version
        conversation = evolve(conversation, one.event)
    return None


STRICTER = {"amount_at_most": lambda facts, limit: golden.amount_at_most(facts, limit // 10)}
OPTIONAL = {"reason", "shown", "by", "failing", "retry_after_seconds", "timer"}
"""Fields of the release's shapes that its own histories happen not to hold."""


@pytest.mark.parametrize("release", golden.releases())
def test_many_conversations_of_a_released_format_are_decided_again(release: str) -> None:
    _redecided(release, 300)


@pytest.mark.full
@pytest.mark.parametrize("release", golden.releases())
def test_ten_thousand_conversations_of_a_released_format_are_decided_again(release: str) -> None:
    _redecided(release, 10_000)
