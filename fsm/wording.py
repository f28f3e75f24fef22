"""Small pieces of the English of a flow: numbers, durations, lists, and what follows trouble."""

from collections.abc import Iterable

from ..contracts.flow import CACHED, AgentState

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def duration_in_words(seconds: int) -> str:
    """`90 minutes`: the largest unit that needs no fraction."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return counted(seconds // size, unit)


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def joined(words: Iterable[str], joint: str = "and") -> str:
    found = list(words)
    return f"{', '.join(found[:-1])} {joint} {found[-1]}" if len(found) > 1 else "".join(found)


def tried(state: AgentState) -> str:
    """How often an agent is asked, and what follows attempts that do not succeed."""
    said = f"{counted(state.attempts, 'attempt')} of {duration_in_words(state.timeout_seconds)}"
    if state.backoff_seconds:
        first, most = duration_in_words(state.backoff_seconds), duration_in_words(state.backoff_most_seconds)
        said += f", after waits of {first}, doubled up to {most}"
    others = ["the answer given before" if name == CACHED else name for name in state.fallbacks]
    each = f", {counted(state.fallback_attempts, 'attempt')} each" if state.fallback_attempts > 1 else ""
    return f"{said}; then {', then '.join(others)}{each}" if others else said
