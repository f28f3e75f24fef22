"""docs/reliability.md's table, made of what the fault tests recorded.

    INTERLOCK_FIGURES=figures.jsonl pytest -m full tests/faults tests/laws tests/hostile tests/unit/keeping
    python tests/support/reliability_page.py figures.jsonl

The first writes what each test came to; the second adds them up by row into docs/reliability.jsonl, and writes the
table into the page. A row that was not run again stays as it was, and so does one of the long profile that was run
again in the short. Without an argument it only writes the table.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
PAGE, FIGURES = DOCS / "reliability.md", DOCS / "reliability.jsonl"
BEGIN, END = "<!-- figures: written by tests/support/reliability_page.py -->\n", "<!-- end of figures -->\n"
Figure = Mapping[str, Any]


def added_up(lines: Iterable[Figure]) -> list[dict[str, Any]]:
    """One figure for each row, of all the tests and batches that give it; of a test that ran twice, the last."""
    newest = {(one["what"], one["test"], one.get("control", False)): one for one in lines}
    rows: dict[tuple[str, str, bool], dict[str, Any]] = {}
    for one in newest.values():
        test, control = one["test"].partition("[")[0], one.get("control", False)
        row = rows.setdefault(
            (one["fault"], one["what"], control),
            {"fault": one["fault"], "what": one["what"], "test": test, "control": control, "tried": 0, "wrong": 0}
            | {"full": one.get("full", True)},
        )
        row["tried"] += one["tried"]
        row["wrong"] += one["wrong"]
        seen = row.setdefault("seen", {})
        for name, count in one.get("seen", {}).items():
            seen[name] = max(seen.get(name, 0), count) if "longest" in name else seen.get(name, 0) + count
    return sorted(rows.values(), key=_place)


def _place(row: Figure) -> tuple[int, bool, str]:
    return int(row["fault"][1:]), row["control"], row["what"]


def merged(known: Sequence[Figure], new: Sequence[Figure]) -> list[Figure]:
    """What is known, with what is new in its place."""
    rows = {(one["fault"], one["what"], one["control"]): one for one in known}
    for one in new:
        name = one["fault"], one["what"], one["control"]
        if one["full"] or not rows.get(name, one)["full"]:
            rows[name] = one
    return sorted(rows.values(), key=_place)


def percent(tried: int) -> str:
    """The rule of three, to two figures."""
    return f"{float(f'{min(300 / tried, 100):.2g}'):f}".rstrip("0").rstrip(".") + " %"


def table(rows: Sequence[Figure]) -> str:
    """A row for each figure; the controls of a fault stand beside its first row."""
    lines = ["| | what was done | tried | wrong | at most | also counted | the control that must fail | command |"]
    lines.append("|---|---|---:|---:|---:|---|---|---|")
    shown = set()
    for row in rows:
        if row["control"]:
            continue
        controls = [one for one in rows if one["control"] and one["fault"] == row["fault"] not in shown]
        shown.add(row["fault"])
        beside = "; ".join(f"{one['what']}: {one['wrong']:,} of {one['tried']:,}" for one in controls)
        seen = ", ".join(f"{name} {count:,}" for name, count in row["seen"].items())
        bound = percent(row["tried"]) if not row["wrong"] else "-"
        figures = f"{row['tried']:,} | {row['wrong']:,} | {bound}"
        command = f"`pytest {'-m full ' if row['full'] else ''}{row['test']}`"
        lines.append(f"| {row['fault']} | {row['what']} | {figures} | {seen} | {beside} | {command} |")
    return "\n".join(lines) + "\n"


def with_table(page: str, rows: Sequence[Figure]) -> str:
    """The page with the table of these rows in its place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(rows)}\n{END}{after}"


def read(path: Path) -> list[Figure]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def main() -> None:
    rows = read(FIGURES) if FIGURES.exists() else []
    for path in sys.argv[1:]:
        rows = merged(rows, added_up(read(Path(path))))
    FIGURES.write_text("".join(json.dumps(one) + "\n" for one in rows), "utf-8")
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), rows), "utf-8")


if __name__ == "__main__":
    main()
