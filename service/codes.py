"""Which code decides: this release and, where it is known, the digest of the flow's own code.

It stands in every entry, so that a replay can name the code that decided something if today's is another.
"""

from ..fsm.program import Program, with_children
from .project import Project

CODE = "interlock/0.1.0"
_OWN = " code/"
DIGITS = 12


def code_of(project: Project) -> str:
    """Such as `interlock/0.1.0 code/1f2e3d4c5b6a`."""
    return CODE + (f"{_OWN}{project.code_digest[:DIGITS]}" if project.code_digest else "")


def codes_of(project: Project, program: Program) -> dict[str, str]:
    """By flow digest, of the program and of those that it contains: they lie in one folder or package."""
    return {one.ref.digest: code_of(project) for one in with_children([program])}


def differing(recorded: str, today: str) -> str:
    """What is another today, in words; nothing where nothing is, or where it is not known."""
    was, _, own = recorded.partition(_OWN)
    now, _, own_now = today.partition(_OWN)
    said = []
    if was != now:
        said.append(f"{was} then, {now} today")
    if own and own_now and own != own_now:
        said.append(f"the flow's code {own} then, {own_now} today")
    return "; ".join(said)
