"""SPIN, an independent model checker: runs the export of a flow and says what it found.

`spin` makes a checker in C of each model; `tcc` compiles it in a moment, `gcc` in seconds. Where either is missing,
`MISSING` says which, for a skip that is seen.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from interlock.contracts.flow import Flow
from interlock.fsm.prove.promela import HEAD, Export

SPIN = shutil.which("spin")
CC = shutil.which("tcc") or shutil.which("gcc") or shutil.which("cc")
MISSING = "" if SPIN and CC else f"{'spin' if not SPIN else 'a C compiler'} is not installed (Debian: spin, tcc)"
MARKS = """c_decl {
\\#include <stdio.h>
static char marked[40000];
static void mark(int place) { if (!marked[place]) { marked[place] = 1; printf("SEEN %d\\n", place); } }
}
#define SEEN(place) c_code { mark(place); }
#define CALLED c_code { mark(1000 + Pconversation->calls); }
"""


@dataclass(frozen=True)
class Spun:
    """What was found. `broken` are the kinds of errors, in SPIN's words."""

    seen: frozenset[tuple[str, str]]
    broken: frozenset[str]
    calls: int
    """The most model calls of a turn."""
    states: int

    def names(self, kind: str) -> set[str]:
        return {name for what, name in self.seen if what == kind}


def spun(flow: Flow, folder: Path, *, calls: int = 32_000, loops: bool = False) -> Spun:
    """Search everything that the flow's model can do; with `loops`, for a way round that never ends."""
    export = Export(flow)
    text = export.text()
    (folder / "flow.pml").write_text(MARKS + HEAD + text, "utf-8")
    given = ["-DLOOPS"] if loops else [f"-DCALLS={calls}"]
    _run([SPIN or "", "-a", *given, "flow.pml"], folder)
    flags = ["-DNOREDUCE", "-DMEMLIM=1024", *([] if loops else ["-DSAFETY"])]
    _run([CC or "", "-w", *flags, "-o", "pan", "pan.c"], folder)
    said = _run([str(folder / "pan"), "-m200000", "-c0", "-w18", *(["-a"] if loops else [])], folder)
    assert "errors:" in said, said
    assert "max search depth too small" not in said, said
    marks = [int(place) for place in re.findall(r"^SEEN (\d+)$", said, re.MULTILINE)]
    seen = frozenset(export.places[place] for place in marks if place < 1_000)
    most = max((place - 1_000 for place in marks if place >= 1_000), default=0)
    kinds = ("assertion violated", "invalid end state", "acceptance cycle")
    number = int(re.findall(r"errors: (\d+)", said)[-1])
    broken = frozenset(kind for kind in kinds if kind in said.partition("Spin Version")[0])
    assert bool(broken) == bool(number), said
    return Spun(seen, broken, most, int(float(re.findall(r"([\d.e+]+) states, stored", said)[-1])))


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
