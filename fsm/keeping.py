"""Keeping policies: a row, a tool or an end that would break one is not taken, and that is recorded."""

from ..contracts.events import PolicyKept, ToolRequested, TransitionTaken, Verdict
from ..contracts.policies import Watch
from .draft import Draft
from .policies.alphabet import observed
from .policies.judging import after, broken_among

POLICY = "policy"
"""The outcome of a step that would break a policy, and the trigger of the rows that handle it."""


def broken_by(draft: Draft, event: TransitionTaken | ToolRequested) -> tuple[str, ...]:
    """The policies that this step would break, by name; entering a final state ends the conversation."""
    conversation = draft.conversation
    if not conversation.watches:
        return ()
    words, _ = observed(event, conversation.version, conversation.seen)
    ended = isinstance(event, TransitionTaken) and draft.program.states[event.target].kind == "final"
    if ended and isinstance(event, TransitionTaken):
        words = (*words, f"end:{event.target}")
    watches, states = conversation.watches, conversation.watched
    following = after(watches, states, words)
    if following == states and not ended:
        return ()
    would = broken_among(watches, following, ended=ended)
    return _named(watches, frozenset(would) - frozenset(broken_among(watches, states)))


def _named(watches: tuple[Watch, ...], which: frozenset[int]) -> tuple[str, ...]:
    return tuple(watch.name for at, watch in enumerate(watches) if at in which)


def row_kept_back(draft: Draft, row: TransitionTaken, policies: tuple[str, ...]) -> str | None:
    """Record the row that is not taken; the outcome is `policy`. A row on `policy` itself is just not taken."""
    _kept(draft, policies, row.on, row.row, row.target, None, row.verdicts)
    return None if row.on == POLICY else POLICY


def tool_kept_back(draft: Draft, tool: str, policies: tuple[str, ...]) -> str:
    """Record the tool that a call state does not ask."""
    _kept(draft, policies, None, None, None, tool, ())
    return POLICY


def _kept(
    draft: Draft,
    policies: tuple[str, ...],
    on: str | None,
    row: int | None,
    target: str | None,
    tool: str | None,
    verdicts: tuple[Verdict, ...],
) -> None:
    draft.record(
        PolicyKept(
            policies=policies,
            state=draft.conversation.state,
            on=on,
            row=row,
            target=target,
            tool=tool,
            verdicts=verdicts,
        )
    )
    draft.reply("phrase.policy")
