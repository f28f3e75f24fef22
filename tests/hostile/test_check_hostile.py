"""Nonsense put to `interlock check`: a clear error with its line, or a bounded answer; never a hang."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from interlock.cli.progress import Progress
from interlock.cli.terminal import Terminal
from interlock.contracts.errors import FlowError
from interlock.fsm.code import Code
from interlock.fsm.load import read_flow
from interlock.fsm.program import compiled
from interlock.fsm.prove.proof import proved
from support.broken import MENDED, loaded

HEAD = "flow: big\nversion: 1\nowner: tests\ninitial: a0\n"
TAIL = "  - [any, expired, otherwise, end, P]\n  - [any, limit, otherwise, end, P]\n"
SECONDS = 60
"""Of CPU, which is what a machine that does other things as well leaves alone."""


def chain(states: int) -> str:
    kinds = "".join(f"  a{n}: {{kind: wait, deadline: 1h}}\n" for n in range(states))
    names = [*(f"a{n}" for n in range(states)), "end"]
    leads = "".join(f"  - [{names[n]}, message, otherwise, {names[n + 1]}, P]\n" for n in range(states))
    return f"{HEAD}states:\n{kinds}  end: {{kind: final}}\ntransitions:\n{leads}{TAIL}"


def many_rows(rows: int) -> str:
    conditions = "".join(f"  - [a0, message, 'at_most(n, {n})', b, P]\n" for n in range(rows))
    return (
        f"{HEAD}facts:\n  n: {{type: integer, ask: How many}}\nstates:\n  a0: {{kind: wait, deadline: 1h}}\n"
        "  b: {kind: wait, deadline: 1h}\n  end: {kind: final}\n"
        f"transitions:\n{conditions}  - [a0, message, otherwise, end, P]\n  - [b, message, otherwise, end, P]\n{TAIL}"
    )


def answered(text: str, most: int) -> tuple[Any, float]:
    began = time.process_time()
    proof = proved(compiled(read_flow(text, Code()).flow, Code()), most=most)
    return proof, time.process_time() - began


def test_a_flow_of_ten_thousand_states_is_answered() -> None:
    """Whole within the bound; past it nothing is claimed."""
    proof, seconds = answered(chain(10_000), 2_000_000)
    assert proof.complete
    assert proof.configurations >= 10_000
    assert seconds < SECONDS
    proof, _ = answered(chain(500), 100)
    assert not proof.complete
    assert "proved" not in {one.verdict for one in proof.findings if one.code in ("P301", "P302", "P304")}


def test_three_thousand_rows_of_one_state_are_answered() -> None:
    """More conditions than are looked at together: every row may be taken."""
    proof, seconds = answered(many_rows(3_000), 2_000_000)
    assert proof.complete
    assert seconds < SECONDS


@pytest.mark.parametrize(
    "limits",
    ["agent_calls: 0", "steps: 0", "handoffs: -1", "handofs: 3", "handoffs: 0", "tool_calls: 0", "digression_depth: 0"],
)
def test_limits_that_are_none_are_refused_with_their_line(limits: str) -> None:
    with pytest.raises(FlowError) as refused:
        loaded(MENDED.replace("limits: {agent_calls: 6, handoffs: 3}", f"limits: {{{limits}}}"))
    assert 5 in {one.line for one in refused.value.faults}
    assert all(one.fix for one in refused.value.faults)


def test_progress_is_shown_on_a_terminal_and_now_and_then_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it takes long; nothing is left of it on a terminal, and a pipe has a line every 10 seconds."""
    with Progress() as piped:
        piped._began -= 9
        piped._told -= 9
        piped(500, 1_000)
        assert capsys.readouterr().err == ""
        piped._began -= 2
        piped._told -= 2
        piped(1_000, 5_000)
        piped(1_001, 5_003)
    err = capsys.readouterr().err
    assert err.startswith("exploring: 1,000 configurations, 5,000 transitions (")
    assert err.count("\n") == 1
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Progress(Terminal(error=True)) as shown:
        shown._began -= 10
        shown(1_000, 5_000)
    if shown._terminal.console.is_terminal:
        assert "exploring: 1,000 configurations, 5,000 transitions" in capsys.readouterr().err


def test_ctrl_c_stops_a_long_check_cleanly(tmp_path: Path) -> None:
    """One line, exit 130, no traceback."""
    (tmp_path / "flow.yaml").write_text(chain(10_000), "utf-8")
    # Where the tests run in the background, an interruption is ignored unless one asks for it.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heard}; from interlock.cli.main import main; print('began', flush=True); main()"
    running = subprocess.Popen(
        [sys.executable, "-c", program, "check", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "began\n"
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Stopped." in err
    assert "Traceback" not in err
