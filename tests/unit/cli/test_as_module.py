"""The command line as a module: it runs, and does not end well without having done anything."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["interlock", "interlock.cli.main"])
def test_a_command_runs_as_a_module(module: str) -> None:
    """A check that looked at nothing would pass."""
    ran = subprocess.run(
        [sys.executable, "-m", module, "verify", "--db", "no-such.db"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "no-such.db" in ran.stderr + ran.stdout
