"""`interlock new`: a flow project of one's own that runs, checks clean and has a passing test."""

import keyword
import re
from pathlib import Path

from ..contracts.errors import CallError
from .scaffold import files
from .terminal import Terminal, write_json


def new(name: str, folder: Path, as_json: bool) -> None:
    """Write the project into a new folder called `name`. Raises `CallError` for a bad name or a folder that exists."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name):
        better = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_0123456789")[:40] or "orders"
        better = f"{better}_flow" if keyword.iskeyword(better) else better
        raise CallError(
            f"{name[:60]!r} is no name for a flow: small letters, digits and underscores, a letter first, at most 40.",
            fix=f"Use a name such as `interlock new {better}`.",
        )
    target = folder / name
    if target.exists():
        raise CallError(
            "There is something in this place already, and nothing is overwritten.",
            where=str(target),
            fix="Use another name, or --in another folder.",
        )
    try:
        target.mkdir(parents=True)
        for file, text in files(name).items():
            (target / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CallError(
            f"The project cannot be written: {error.strerror}.", where=str(target), fix="Choose a folder you may write."
        ) from error
    written = sorted(files(name))
    if as_json:
        write_json({"name": name, "folder": str(target), "files": written})
        return
    terminal = Terminal()
    terminal.line(("✓ ", "bold green"), (f"{target}", "bold"), f": {', '.join(written)}")
    for command, what in (
        (f"interlock chat {target}", "talk to it"),
        (f"interlock check {target}", "find what is wrong with it"),
        (f"interlock draw {target}", "see it"),
        (f"pytest {target}", "run its test"),
    ):
        terminal.hang(terminal.text((f"{command:<28}", "green")), (what, "dim"), indent=2)
