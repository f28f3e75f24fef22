"""One interpreter that forks a child for each order: a trial costs milliseconds, for everything is imported once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class ForkServer:
    """A script that reads one line of JSON for each child, and answers with lines of JSON."""

    def __init__(self, script: Path) -> None:
        path = os.pathsep.join([str(script.parents[1]), *(entry for entry in sys.path if entry)])
        self._process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONPATH": path},
            cwd=script.parents[1],
        )

    def order(self, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What the server and its child say, line by line. The order is given when the first line is asked for."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            yield json.loads(line)
        raise AssertionError("the fork server went away")

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
