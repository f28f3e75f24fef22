"""What the events of an agent asked as a tool do to the fold: who waits for whom. Holds no rule.

The fields of a visit speak of the agent at work. One that asked another waits in `callers`, innermost last.
"""

from ..contracts.events import AgentRequested, AgentToolEnded
from .conversation import Asked, Caller, Visit


def asked_as_tool(visit: Visit, event: AgentRequested) -> Visit:
    """The agent is asked by the one at work, which waits from now on; or it is asked again."""
    caller, asked = event.caller or 0, visit.asked
    if asked is None or (asked.caller, asked.position) != (caller, event.position):
        call = dict(visit.proposed).get(event.position)
        length = call.task.length if call is not None and call.task is not None else 0
        waiting = Caller(
            asked=asked,
            attempts=visit.attempts,
            rounds=visit.rounds,
            proposal=visit.proposal,
            proposed=visit.proposed,
            carried_tokens=visit.carried_tokens,
        )
        visit = visit.changed(
            asked=Asked(event.agent, caller, event.position, event.task, length),
            callers=(*visit.callers, waiting),
            proposal=0,
            proposed=(),
            carried_tokens=0,
        )
    return visit.changed(attempts=event.attempt, rounds=event.round)


def caller_goes_on(visit: Visit, event: AgentToolEnded) -> Visit:
    """The caller is at work again; one that was never asked, since it did not fit, leaves nobody waiting."""
    asked = visit.asked
    if asked is None or not visit.callers or (asked.caller, asked.position) != (event.request, event.position):
        return visit
    waiting = visit.callers[-1]
    return visit.changed(
        asked=waiting.asked,
        callers=visit.callers[:-1],
        attempts=waiting.attempts,
        rounds=waiting.rounds,
        proposal=waiting.proposal,
        proposed=waiting.proposed,
        carried_tokens=waiting.carried_tokens,
    )
