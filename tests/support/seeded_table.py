"""The table of seeded bugs as docs/testing.md holds it."""

from collections.abc import Sequence
from pathlib import Path

from interlock.testing.checking import Found
from support.seeded import Seeded

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def table(found: Sequence[tuple[Seeded, Found | None, Found | None]]) -> str:
    """One row for each bug: where it was put, whether the guard's sentence tells, and by what conversation it shows."""
    lines = [
        "| Seeded bug | in | its sentence tells | conversations tried | messages | acts |",
        "|---|---|---|---|---|---|",
    ]
    for seeded, said, shown in found:
        tells = "yes" if said is not None else "no"
        figures = f"{shown.examples} | {shown.messages} | {len(shown.acts)}" if shown is not None else "not found | |"
        lines.append(f"| {seeded.name} | {seeded.base} | {tells} | {figures} |")
    return "\n".join(lines)
