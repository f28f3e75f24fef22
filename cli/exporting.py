"""`interlock export --as pytest`: a recorded conversation as a test that passes today."""

import ast
import sys
from pathlib import Path

from ..contracts.errors import CallError, SetupError
from ..service.project import load_project
from ..service.retold import retold
from ..service.wiring import found_flows
from .as_pytest import pytest_of
from .elsewhere import check_led_here
from .finding import existing_log, stream_named
from .seeing import noted_reading


def export(db: Path | None, prefix: str, form: str, out: Path | None, flow: str) -> None:
    """Write the conversation in `form` to `out`, or print it."""
    if form != "pytest":
        raise CallError(f"A conversation cannot be exported as {form!r}.", fix="Write `--as pytest`.")
    with existing_log(db) as store:
        stream = stream_named(store, prefix)
        check_led_here(store, stream)
        summary = store.summary(stream)
        given = load_project(flow) if flow else None
        found = found_flows(store, given).get(summary.flow_digest if summary else "")
        if found is None or found.program is None:
            raise SetupError(
                f"The flow of this conversation cannot be loaded: {found.problem if found else 'the log has lost it'}",
                where=f"conversation {stream}",
                fix="Name its flow with --flow.",
            )
        noted_reading(store, (stream,), "export")
        source = flow if found.project is given and flow else found.row.source
        text = pytest_of(retold(store, stream, found.program), source)
    ast.parse(text)
    if out is None:
        # What the terminal cannot show is written as Python escapes it: the test stays the same.
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        return
    try:
        out.write_bytes(text.encode())
    except OSError as error:
        raise SetupError(
            f"The test cannot be written: {error.strerror}.",
            where=str(out),
            fix="Name a file in a folder that is there.",
        ) from error
