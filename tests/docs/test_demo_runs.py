"""The first command of the README, as a new user runs it: in an empty folder, without a key."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_demo_holds(tmp_path: Path) -> None:
    """`interlock demo`: exit 0, nothing on stderr, nothing left behind."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "INTERLOCK"))}
    done = subprocess.run(
        [sys.executable, "-m", "interlock", "demo"], capture_output=True, text=True, timeout=60, cwd=tmp_path, env=env,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "0 divergences, 0 model calls" in " ".join(done.stdout.split())
    assert list(tmp_path.iterdir()) == []
