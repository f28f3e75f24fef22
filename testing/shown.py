"""A conversation as a person reads it: who said what, what moved, who was asked, and where it stands now."""

from collections.abc import Sequence

from ..cli.story import told
from ..contracts.errors import LogError
from ..contracts.events import FactsRecorded
from ..contracts.payload import Payload, PayloadAt
from .possible import vocabulary
from .talk import Talk

_QUIET = frozenset({"timer_set", "facts_recorded", "handoff_made"})
_NOTES = {"good": "+", "bad": "-"}
_SIGNS = {"customer": "«", "reply": "»", "move": "→", "refused": "✗", "bad": "✗", "unsure": "?", "task": "○"}


def shown(talk: Talk, *, everything: bool = False) -> str:
    """The whole conversation, children after their parent, with the facts that guards read; then who waits for what."""
    parts = [_stream(talk, stream, everything=everything) for stream in talk.streams]
    return "\n".join((*parts, standing(talk)))


def _stream(talk: Talk, stream: str, *, everything: bool) -> str:
    try:
        entries = talk.entries(stream)
    except LogError as error:
        return f"{stream}: {error}"
    payloads: dict[PayloadAt, Payload] = talk.store.payloads(stream)
    program = talk.program_of(stream)
    asked = {fact for names in vocabulary(program).reads.values() for fact in names}
    read = {
        version
        for version, one in enumerate(entries)
        if isinstance(one.event, FactsRecorded) and asked & {fact.name for fact in one.event.facts}
    }
    lines = [f"{program.ref.name} v{program.ref.version}" + ("" if stream == talk.id else f", child {stream[:8]}")]
    for one in told(entries, program.flow, payloads):
        if one.type in _QUIET and not everything and one.version not in read:
            continue
        clause = f"  ({one.policy})" if one.policy else ""
        lines.append(f"  {one.version:>3} {_SIGNS.get(one.kind, '·')} {printable_lines(one.text)}{clause}")
        lines += [f"        {_NOTES[note.mark]} {note.text}" for note in one.notes if note.mark in _NOTES]
    return "\n".join(lines)


def printable_lines(text: str) -> str:
    """Any text on one line that every terminal and file takes."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def standing(talk: Talk) -> str:
    """Where it stands, and whom it waits for."""
    waits = [f"{one.kind} {one.name} has not answered" for one in talk.outside.waiting]
    if not talk.ended and (task := talk.task) is not None:
        waits.append(f"a task for {task.role} is open ({', '.join(task.decisions)})")
    waits += [f"effect {effect} is undecided" for _, effect in talk.left_undecided]
    waits += [f"refused: {error.what}" for error in talk.refused[-3:]]
    said = f"now in {talk.state!r}" + (", ended" if talk.ended else "")
    return f"  {said}" + (f"; {'; '.join(waits)}" if waits else "")


def quoted(lines: Sequence[str]) -> str:
    return "\n".join(f"    {one}" for one in lines)
