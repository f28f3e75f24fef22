"""Small pieces of the English of a flow: numbers, durations, lists, and what follows trouble."""

from collections.abc import Iterable, Iterator

from ..contracts.flow import CACHED, AgentSpec, AgentState, Flow
from .written import decimal

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


def ways_of(agent: AgentSpec) -> Iterator[str]:
    """How an agent gets the conversation, and when it does not."""
    if agent.breaker is not None:
        within, pause = agent.breaker.window_seconds, agent.breaker.open_seconds
        failed = f"{counted(agent.breaker.failures, 'failure')} in {duration_in_words(within)}"
        yield f"Is not asked for {duration_in_words(pause)} after {failed}."
    if agent.summariser is not None:
        over = ", also where the history does not fit" if agent.when_over == "summarise" else ""
        yield f"{agent.summariser} sums up for it{over}."
    if agent.scope is not None:
        yield f"It is asked only what is in its scope, as {agent.scope} measures it."
    if agent.no_return:
        yield "Once it has handed the conversation on, it does not get it back until a person has decided something."
    if agent.cache_seconds:
        yield f"Its answer to the same question may be given again for {duration_in_words(agent.cache_seconds)}."


def limit_amount(limit: str, value: int) -> str:
    """How much a limit is, or was used of it: costs are kept in billionths of the currency unit, and read as money."""
    if not limit.endswith("_cost"):
        return f"{value:,}"
    whole, _, part = decimal(value, 9).partition(".")
    return f"{int(whole):,}.{part:0<2}"


def promised(flow: Flow) -> Iterator[str]:
    """Who must approve, and what makes trusted what was written."""
    if flow.four_eyes:
        needed = joined(f"{name} ({number} different people)" for name, number in flow.four_eyes.items())
        yield f"Every way to these leads over an approval: {needed}."
    if flow.prices:
        table = joined(f"{model} ({price.dated})" if price.dated else model for model, price in flow.prices.items())
        yield f"Known are the prices of {table}."
    trusted = [one.name for one in flow.guards if one.sanitises] + [one.name for one in flow.tools if one.sanitises]
    if trusted:
        yield f"What was written may change something once {joined(trusted, 'or')} looked at it."
