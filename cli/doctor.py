"""`interlock doctor`: is everything here fit to run on, and what to do where it is not."""

from typing import Annotated

import typer

from .options import Db, Json


def doctor(
    db: Db = None,
    full: Annotated[bool, typer.Option("--full", help="Verify every conversation, not only the newest 200.")] = False,
    json: Json = False,
) -> None:
    """Examine the machine, the packages and the log: each finding is ok, warn or fail, with its fix."""
    from ..service.wiring import db_path
    from .examine import examined
    from .terminal import Terminal, counted, write_json

    path = db_path(db)
    found = examined(path, full)
    failed = sum(one.result == "fail" for one in found)
    if json:
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
    if failed:
        raise typer.Exit(1)
