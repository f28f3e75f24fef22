"""What the fault tests came to: how much was tried, how much of it went wrong, and how often the control did.

Every figure is printed. Where `INTERLOCK_FIGURES` names a file, it is appended there as one line of JSON, and
`support/reliability_page.py` makes docs/reliability.md of such a file.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

profile = {"full": False}
"""Whether the test that runs belongs to the long profile; conftest.py says so."""


def bound(tried: int) -> str:
    """What nothing wrong in so many trials says: the rule of three, with 95 % confidence."""
    return f"at most {min(3 / tried, 1):.2g} of each with 95 % confidence" if tried else "nothing was tried"


def record(
    fault: str, what: str, *, tried: int, wrong: int, control: bool = False, seen: Mapping[str, int] | None = None
) -> None:
    """Note that of `tried` trials of `fault` so many went wrong. `what` names the row of the page, the same in all the
    tests whose trials are added up there; `control`: these are trials that must go wrong; `seen`: what else was
    counted."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").removesuffix(" (call)")
    line: dict[str, Any] = {"fault": fault, "what": what, "test": test, "tried": tried, "wrong": wrong}
    line |= {"full": profile["full"]}
    line |= ({"control": True} if control else {}) | ({"seen": dict(seen)} if seen else {})
    says = "the control" if control else bound(tried) if not wrong else "WRONG"
    print(f"{fault} {what}: {wrong} of {tried} ({says}) {seen or ''}".rstrip())
    if path := os.environ.get("INTERLOCK_FIGURES"):
        with Path(path).open("a") as out:
            out.write(json.dumps(line) + "\n")
