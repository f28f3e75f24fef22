"""The structural checks of a flow: all faults at once, in a fixed order, each with its remedy.

Pure: it reads the flow, and the code's declarations, and runs nothing. The codes are in `CHECKS`.
"""

from collections.abc import Mapping, Sequence

from ..contracts.errors import Fault, FlowError
from ..contracts.flow import Flow
from .checks.accepted import ACCEPTED
from .checks.codes import CHECKS, Check
from .checks.consulting import CONSULTING
from .checks.contents import CONTENTS
from .checks.fallbacks import FALLBACKS
from .checks.graph import GRAPH
from .checks.handoffs import HANDOFFS
from .checks.names import NAMES
from .checks.people import PEOPLE
from .checks.policies import KEPT, POLICIES, rows_needed
from .checks.routing import ROUTING
from .checks.rows import ROWS, WHOLE_ROWS
from .checks.subflows import SUBFLOWS
from .checks.survey import Survey
from .checks.teams import TEAMS
from .code import Code

MOST_FAULTS = 500
"""More faults than anybody reads: a file that is no flow at all is not answered with a larger one."""


def faults_in(
    flow: Flow,
    code: Code | None = None,
    lines: Mapping[str, int] | None = None,
    *,
    unread: frozenset[str] = frozenset(),
    partial: bool = False,
) -> tuple[Fault, ...]:
    """Everything wrong with the flow's structure, by line and then in the order of the checks.

    Without `code`, what only the code can tell is not asked. `unread` and `partial` come from a file
    that was read with faults: what needs the whole table is then not judged, since it would mislead.
    """
    survey = Survey(flow, code, lines or {}, unread, partial)
    agents = (*TEAMS, *SUBFLOWS, *CONSULTING, *PEOPLE, *FALLBACKS, *HANDOFFS, *ACCEPTED)
    checks = (*NAMES, *ROWS, *CONTENTS, *ROUTING, *agents, *(() if partial else (*WHOLE_ROWS, *GRAPH)))
    found = dict.fromkeys(fault for check in checks for fault in check(survey))
    if flow.policies:
        unfit = [fault for check in POLICIES for fault in check(survey)]
        kept = () if unfit or partial or unread else (fault for check in KEPT for fault in check(survey))
        found |= dict.fromkeys((*unfit, *kept))
        if not found and not partial and not unread:
            found |= dict.fromkeys(rows_needed(survey))
    return tuple(sorted(found, key=lambda fault: fault.line))


def refused(faults: Sequence[Fault], file: str = "", name: str = "") -> FlowError:
    """The error that says all faults, by line; of more than `MOST_FAULTS` the first."""
    ordered = tuple(sorted(faults, key=lambda fault: fault.line))
    number = "1 fault" if len(ordered) == 1 else f"{len(ordered):,} faults"
    if len(ordered) > MOST_FAULTS:
        number, ordered = f"{number}; these are the first {MOST_FAULTS}", ordered[:MOST_FAULTS]
    subject = f"The flow {name!r}" if name and name != "unread" else "The flow"
    return FlowError(f"{subject} has {number}.", where=file, fix="Mend each of these:", faults=ordered)


__all__ = ["CHECKS", "Check", "faults_in", "refused"]
