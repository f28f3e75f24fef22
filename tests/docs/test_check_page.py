"""`docs/check.md` is what `interlock check` prints today: the page is made of runs, and compared with them."""

import os
from pathlib import Path

import pytest

from interlock.cli.proving import show_proof
from interlock.cli.terminal import Terminal
from interlock.fsm.prove.codes import QUESTIONS
from interlock.fsm.prove.proof import proved
from support.broken import BROKEN, MENDED, Broken, loaded, program_of

PAGE = Path(__file__).parents[2] / "docs" / "check.md"
HEAD = """# What a flow can do

`interlock check FLOW` explores everything that a flow can do before it runs: each state with its open digressions, the
counters of a turn, and every outcome that an agent, a router, a person, a tool or the clock could give. A condition on
data counts as both true and false, as far as its parts can be so together. It works breadth first, so the way to what
is wrong is a shortest one. It exits with 1 where an answer is refuted; `--json` holds the same.

| verdict | |
|---|---|
| proved | Everything was searched, and it holds. |
| refuted | It does not hold; where there is a way there, it is shown. |
| noted | Nothing is wrong, but somebody should read it. |
| bounded, unknown | Not everything was searched, so nothing is claimed. |
| accepted | It does not hold, and the flow says under `checks:` why that may be. |

Limits of a turn above 1,000 bound nothing that anybody would wait or pay for: they are not counted, and a loop that
only they would end is refused. **What it costs at worst** follows from the limits and from what each call reserves
(`max_input_tokens`, `max_output_tokens`, `price`): no run of the flow takes more between two inputs. Calls in the
background of a broadcast, and those of a child conversation, are in it.

**Prices** stand at the agents, or once per model under `prices:` in the flow, each with the month it is from; an
agent's own `price` goes before the table. `--prices FILE` (`models:` with the same lines, `dated`, `currency`) stands
in place of both, for the bill alone. What has no price is not free: the bill names the agents whose price is not known.

Which facts are known, and their bounds and choices, decide which rows and states can be had (P301, P302). The other
questions do not model them: a guard that may hold for some fact counts as both. A form that has nothing to ask may be
complete at once, a deadline may pass in any wait, a limit of a whole conversation may be reached at any call.

**A second opinion.** `--promela FILE` writes the flow as a model for [SPIN](https://spinroot.com), made by a reading of
the flow that shares nothing with the search. `spin -a FILE && cc -DNOREDUCE -DSAFETY -o pan pan.c && ./pan` finds the
same dead ends, rows that are never taken, most calls of a turn and policies that the rows alone do not keep; with
`spin -a -DLOOPS` and `./pan -a`, the same storms. The head of the file names the policies whose words it has not.
`tests/laws/test_prove_spin.py` compares both on random flows.

**What can be accepted.** `checks: {P306: the reason}` accepts the answer to a question about what the flow can do, with
a reason. Codes that begin with S, R or Y cannot be accepted: a flow with such a fault has no meaning that could be run
or proved. `interlock explain CODE` says of each what it asks and why.

**Against an older version.** `--against OLD` names whatever differs between two flows. It exits with 1 where something
is *weaker* (a bound is wider, an approval, a screen or a policy is gone, a policy is only enforced), *to be judged* (no
rule tells which way it weighs: instructions, a model, a contract, who decides, a condition) or *does not map* (a state
in which conversations may stand). What is stronger, rows and texts are named, and pass: what rows do to the answers
above is proved anew.

## The questions
"""
TOLD = """
## The flow that the examples break

```text
{mended}```

It holds:

```text
{printed}```
"""


def printed(text: str, capsys: pytest.CaptureFixture[str], *, whole: bool = True, code: str = "") -> str:
    """What the command shows of the flow in 110 columns; not whole, only what concerns one question."""
    capsys.readouterr()
    flow = loaded(text)
    proof = proved(program_of(text), flow.lines)
    if not whole:
        proof = type(proof)(
            tuple(one for one in proof.findings if one.code == code and one.verdict == "refuted"),
            proof.bills,
            proof.configurations,
            proof.transitions,
            proof.counted,
            proof.complete,
        )
    show_proof(Terminal(), flow.flow, proof, "orders.yaml")
    shown = capsys.readouterr().out
    if not whole:
        shown = shown[shown.index("\n", shown.index("What it can do")) + 1 : shown.index("What it costs at worst")]
        shown = shown.rpartition("\n")[0].rstrip() + "\n"
    return "\n".join(line.rstrip() for line in shown.strip("\n").splitlines()) + "\n"


def section(broken: Broken, capsys: pytest.CaptureFixture[str]) -> str:
    changes = "".join(
        "".join(f"- {line}\n" for line in old.splitlines()) + "".join(f"+ {line}\n" for line in new.splitlines()[:8])
        for old, new in broken.changes
    )
    found = printed(broken.text, capsys, whole=False, code=broken.code)
    return f"### {broken.code}: {broken.name}\n\n```diff\n{changes}```\n\n```text\n{found}```\n"


def page(capsys: pytest.CaptureFixture[str]) -> str:
    rows = "".join(f"| {one.code} | {one.says} | {one.why} |\n" for one in QUESTIONS)
    parts = [HEAD, "\n| code | asks | because |\n|---|---|---|\n", rows]
    parts.append(TOLD.format(mended=MENDED, printed=printed(MENDED, capsys)))
    parts.append("\n## Broken flows\n\nEach shows what was changed in the flow above, and what is printed of it.\n")
    parts += [f"\n{section(one, capsys)}" for one in BROKEN]
    return "".join(parts)


def test_the_page_is_what_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question, the mended flow and each broken one, as they are today."""
    monkeypatch.setenv("COLUMNS", "110")
    found = page(capsys)
    if os.environ.get("INTERLOCK_GOLDEN") == "write":
        PAGE.write_text(found, "utf-8")
    assert found == PAGE.read_text("utf-8")
