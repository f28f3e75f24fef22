"""What a flow's router makes of a first message."""

from ..contracts.events import RoutingDecided
from ..fsm.program import Program
from ..service.acts import Writes
from .outside import Outside
from .talk import Talk


def routed(program: Program, phrase: str, router: str) -> str | None:
    """The label that the first message of a conversation gets by this router; None where it is not asked."""
    talk = Talk(program, Outside())
    try:
        talk.do(Writes(phrase))
        for event in talk.events:
            if isinstance(event, RoutingDecided) and getattr(program.states[event.state], "router", "") == router:
                return str(event.decision.outcome)
        return None
    finally:
        talk.close()
