"""Histories of every released log format are decided again, byte for byte, by today's code."""

import pytest

from interlock.contracts.facts import Facts
from interlock.fsm.replay import redecide
from support import golden


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
