"""`interlock explain CODE`: what a check asks of a flow, why, and whether what it finds can be accepted."""

from difflib import get_close_matches
from typing import Any

from ..contracts.errors import CallError
from ..fsm.checks.codes import CHECKS
from ..fsm.prove.codes import QUESTION
from .terminal import Terminal, write_json

_CHECK = {one.code: one for one in CHECKS}
_WHY = {
    "Y": "A file that can be read in two ways is two flows.",
    "R": "What is written must have one meaning before anything is said of what it does.",
    "S": "A flow with such a fault has no meaning that could be run or proved: it starts no conversation.",
}
_ACCEPTED = (
    "It can be accepted, with a reason that stands in the flow's digest: `checks: {%s: the reason}`. "
    "It is shown as accepted from then on, and a version that accepts more is weaker."
)
_NOT_ACCEPTED = "It cannot be accepted: every other answer is about a flow that has a meaning."


def document(code: str) -> dict[str, Any]:
    """`{"code", "asks", "why", "accepted", "fix"}`. Raises `CallError` for a code that there is not."""
    wanted = code.strip().upper()
    if question := QUESTION.get(wanted):
        fix = "`interlock check FLOW` shows the way there, the row to mend and how; docs/check.md has broken flows."
        return {"code": wanted, "asks": question.says, "why": question.why, "accepted": _ACCEPTED % wanted, "fix": fix}
    if check := _CHECK.get(wanted):
        fix = "`interlock check FLOW` shows the line of each fault, and what to write there."
        return {"code": wanted, "asks": check.says, "why": _WHY[wanted[0]], "accepted": _NOT_ACCEPTED, "fix": fix}
    near = get_close_matches(wanted, [*QUESTION, *_CHECK], 3, 0.6)
    raise CallError(
        f"There is no check {code!r}.",
        fix=f"Perhaps {', '.join(near)}; `interlock check` prints the codes." if near else "Codes are as P305 or S130.",
    )


def explain(code: str, as_json: bool) -> int:
    """Print it; 0."""
    found = document(code)
    if as_json:
        write_json(found)
        return 0
    terminal = Terminal()
    terminal.hang(terminal.text((f"{found['code']} ", "bold")), (found["asks"], "bold"))
    for word in ("why", "fix"):
        terminal.hang(terminal.text((f" {word}  ", "dim")), found[word])
    terminal.hang(terminal.text(("      ", "dim")), found["accepted"])
    return 0
