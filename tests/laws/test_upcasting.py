"""Old shapes are read in today's: purely, once, and without touching what is stored."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts import envelope as envelopes
from interlock.contracts.canonical import canonical, leaf_hash
from interlock.contracts.envelope import opened
from interlock.contracts.errors import NotEncodable
from interlock.contracts.events import ReplySent, TransitionTaken
from interlock.contracts.upcast import UPCASTERS, current, upcast
from interlock.fsm.replay import Recorded, redecide
from support import golden
from support.stores import EVENT_TYPES

STEPS = {
    # As if `move` had come later, and `text` had been called `template` once, and `line` before that.
    ("transition_taken", 0): lambda data: {**data, "move": "go"},
    ("reply_sent", 0): lambda data: {
        **{name: data[name] for name in data if name != "template"},
        "text": data["template"],
    },
    ("reply_sent", -1): lambda data: {
        **{name: data[name] for name in data if name != "line"},
        "template": data["line"],
    },
}


def older(data: bytes) -> bytes:
    """The entry as an earlier release would have written it."""
    fields = json.loads(data)
    body = fields["data"]
    if fields["type"] == "transition_taken" and body.get("move") == "go":
        del body["move"]
        return canonical({**fields, "schema": 0})
    if fields["type"] == "reply_sent" and "text" in body:
        body["line"] = body.pop("text")
        return canonical({**fields, "schema": -1})
    return data


@pytest.mark.parametrize("release", golden.releases())
def test_every_golden_entry_reads_the_same_from_an_older_shape(release: str) -> None:
    """One step or two: the same event comes out, and the stored bytes and their leaf are not touched."""
    read = changed = 0
    for entries in golden.read(release).streams.values():
        for entry in entries:
            old = older(entry.data)
            envelope, event = opened(old, STEPS)
            assert event == entry.event
            assert (envelope.ver, envelope.key, envelope.schema_number) == (
                *(entry.envelope.ver, entry.envelope.key, entry.envelope.schema_number),
            )
            assert leaf_hash(old) == leaf_hash(older(entry.data))
            read, changed = read + 1, changed + (old != entry.data)
    assert changed > 50
    assert read > changed


@pytest.mark.parametrize("release", golden.releases())
def test_a_history_of_older_shapes_is_decided_again(release: str) -> None:
    """No difference: what an old entry says is compared, not how it was written."""
    found = golden.read(release)
    program = golden.program(found.flow, golden.BANK)
    for stream, entries in found.streams.items():
        brought = []
        for entry in entries:
            data = older(entry.data)
            envelope, event = opened(data, STEPS)
            brought.append(Recorded(envelope, event, data, entry.leaf))
        assert redecide(program, stream, brought).divergence is None


@pytest.mark.parametrize("release", golden.releases())
def test_control_another_event_in_an_old_shape_is_found(release: str) -> None:
    """An old entry that says something else is a difference."""
    found = golden.read(release)
    program = golden.program(found.flow, golden.BANK)
    stream, entries = next(iter(found.streams.items()))
    brought = [Recorded(one.envelope, one.event, one.data, one.leaf) for one in entries]
    at = next(n for n, one in enumerate(entries) if isinstance(one.event, TransitionTaken))
    data = older(entries[at].data)
    envelope, event = opened(data, {**STEPS, ("transition_taken", 0): lambda data: {**data, "move": "push"}})
    brought[at] = Recorded(envelope, event, data, entries[at].leaf)
    divergence = redecide(program, stream, brought).divergence
    assert divergence
    assert divergence.version == at


def test_without_its_step_an_older_shape_is_refused() -> None:
    """Nothing is guessed; and a number that is not known yet asks for a newer release."""
    fields = {"type": "reply_sent", "schema": -1, "data": {}}
    with pytest.raises(NotEncodable, match="Nothing leads on from schema -1 of 'reply_sent'"):
        upcast(fields)
    with pytest.raises(NotEncodable, match="The event 'reply_sent' has schema 2; this release knows 1"):
        upcast({**fields, "schema": 2})
    with pytest.raises(NotEncodable, match="The entry names no event with a schema number"):
        upcast({"type": "reply_sent"})


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=4))
def test_upcasting_is_pure_and_idempotent(data: dict[str, int]) -> None:
    """The input stays as it is; once in today's shape, nothing changes any more."""
    fields = {"type": "transition_taken", "schema": 0, "data": dict(data)}
    brought = upcast(fields, STEPS)
    assert fields == {"type": "transition_taken", "schema": 0, "data": data}
    assert upcast(fields, STEPS) == brought == upcast(brought, STEPS)


def test_what_is_written_has_todays_number() -> None:
    """Every type of event: release 0.1.0 wrote 1, and so does this one until a shape changes."""
    kinds = [event.model_fields["type"].default for event in EVENT_TYPES]
    assert {kind: current(kind) for kind in kinds} == envelopes._NUMBERS
    assert current(ReplySent(state="a", token_bound=1).type, STEPS) == 1
    assert {kind for kind, _ in UPCASTERS} <= set(kinds)
