"""`interlock doctor`: is everything here fit to run on, and what to do where it is not."""

from pathlib import Path

from ..service.wiring import db_path
from .examine import examined
from .terminal import Terminal, counted, write_json


def doctor(db: Path | None, full: bool, ntp: str, as_json: bool) -> int:
    """Say what was found; 1 if anything failed."""
    path = db_path(db)
    found = examined(path, full, ntp)
    failed = sum(one.result == "fail" for one in found)
    if as_json:
        write_json(
            {
                "ok": not failed,
                "db": str(path),
                "findings": [
                    {"name": one.name, "result": one.result, "says": one.says, "fix": one.fix or None} for one in found
                ],
            }
        )
    else:
        terminal = Terminal()
        signs = {"ok": ("✓", "bold green"), "warn": ("!", "bold yellow"), "fail": ("✗", "bold red")}
        for one in found:
            terminal.hang(terminal.text(signs[one.result], (f" {one.name:<14}", "bold")), one.says)
            if one.fix:
                terminal.hang(terminal.text((" " * 12 + "fix ", "green")), (one.fix, "green"))
        warned = sum(one.result == "warn" for one in found)
        terminal.line(
            (f"{counted(len(found), 'finding')}: {counted(failed, 'failure')}, {counted(warned, 'warning')}.", "dim")
        )
    return 1 if failed else 0
