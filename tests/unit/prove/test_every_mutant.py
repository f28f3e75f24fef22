"""Every example flow, broken in each named way in each place where it can be: all are reported under the right code.

The table of it stands in `docs/check.md`'s neighbour, `docs/mutants.md`, and is what these tests count.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from interlock.fsm.prove.proof import proved
from interlock.service.project import load_project
from support.mutants import EXPECTED, codes_of, mutants

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
PATTERNS = sorted((EXAMPLES / "patterns").glob("*.yaml"))
NAMES = (
    "bank",
    *(
        f"patterns/{one.stem}"
        for one in sorted((EXAMPLES / "patterns").glob("*.yaml"))
        if one.with_suffix(".py").exists()
    ),
    "storm/ping_pong.yaml",
    "storm/self_handoff.yaml",
)
PAGE = ROOT / "docs" / "mutants.md"
HEAD = """# Flows that were broken on purpose

Each example flow was broken in each of these ways, in every place where it can be, and `interlock check` reported
every one of the broken flows under a code of the last column; of the unbroken ones it refutes nothing. The table is
counted by the tests.

"""


def spec_of(name: str) -> str:
    return str(EXAMPLES / name) if name.endswith(".yaml") else name


def counted(name: str) -> Counter[str]:
    """How many mutants of each kind there are, each of which is reported; the first that is not fails."""
    project = load_project(spec_of(name))
    found: Counter[str] = Counter()
    for mutant in mutants(project):
        codes = codes_of(project, mutant)
        assert codes & EXPECTED[mutant.way], (
            f"{name}: {mutant.way} at {mutant.place} is reported as {codes or 'nothing'}"
        )
        found[mutant.way] += 1
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_unbroken_flow_reports_nothing(name: str) -> None:
    """The control of every mutant."""
    project = load_project(spec_of(name))
    assert [one for one in proved(project.program, project.lines).findings if one.verdict == "refuted"] == []


def test_every_mutant_is_reported_and_the_page_counts_them() -> None:
    """All of them, under the right code; no way of breaking is without a flow to break."""
    counts = {name: counted(name) for name in NAMES}
    ways = list(EXPECTED)
    assert all(sum(one[way] for one in counts.values()) for way in ways)
    rows = [
        f"| {way} | {sum(one[way] for one in counts.values())} | {', '.join(sorted(EXPECTED[way]))} |" for way in ways
    ]
    flows = [f"| {name.removesuffix('.yaml')} | {sum(one.values())} |" for name, one in counts.items()]
    total = sum(sum(one.values()) for one in counts.values())
    text = "\n".join(
        (
            f"{HEAD}| what was done | broken flows | reported as |\n|---|---:|---|",
            *rows,
            f"| all | {total} | 100 % |",
            "\n| flow | broken flows |\n|---|---:|",
            *flows,
            "",
        )
    )
    if os.environ.get("INTERLOCK_GOLDEN") == "write":
        PAGE.write_text(text, "utf-8")
    assert text == PAGE.read_text("utf-8")
