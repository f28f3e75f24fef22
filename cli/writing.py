"""Counterexamples as pytest files: each drives the real runtime to where the checker says, and fails while it can."""

import json
import os
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..contracts.errors import CallError
from ..fsm.prove.codes import QUESTION
from ..fsm.prove.findings import Finding, Proof
from ..service.driving.trial import Arranged, arranged, policy_of
from ..service.driving.way import Step
from ..service.project import Project

_WIDTH = 116
_ASSERTED = {
    "P303": "assert_something_moves_it()",
    "P304": "assert_an_end_can_be_reached()",
    "P305": "assert_it_ends(*LOOP)",
    "P307": "assert_a_person_can_be_reached()",
    "P308": "assert_a_person_is_near(rows={near})",
    "P309": "assert_nothing_untrusted_is_acted_on()",
    "P311": "assert_the_policy_is_kept({policy})",
}


@dataclass(frozen=True, slots=True)
class Written:
    """A test that was written: it `fails` today; or it is `spurious`, for the real runtime does not go that way or
    the property holds there; or something on the way is `not driven`. `why` says what came out."""

    file: Path
    code: str
    result: Literal["fails", "spurious", "not driven"]
    why: str

    def document(self) -> dict[str, str]:
        return {"file": str(self.file), "code": self.code, "result": self.result, "why": self.why}


def write_tests(project: Project, spec: str, proof: Proof, folder: Path) -> tuple[Written, ...]:
    """Write a file for each counterexample of what is refuted. Raises `CallError` where that cannot be."""
    found = [one for one in proof.findings if one.verdict == "refuted" and one.counterexample]
    number: dict[str, int] = {}
    written = []
    for one in found:
        number[one.code] = number.get(one.code, 0) + 1
        more = f"_{number[one.code]}" if number[one.code] > 1 else ""
        file = folder / f"test_{project.program.flow.name}_{one.code.lower()}{more}.py"
        way = arranged(one, project.program)
        result, why = result_of(way)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(test_text(project, spec, one, way, file), "utf-8")
        except OSError as error:
            raise CallError(
                f"The test cannot be written: {error.strerror}.",
                where=str(file),
                fix="Name a folder that can be written.",
            ) from error
        written.append(Written(file, one.code, result, why))
    return tuple(written)


def result_of(way: Arranged) -> tuple[Literal["fails", "spurious", "not driven"], str]:
    """How the test comes out today."""
    found = way.tried
    if found.undriven or found.doubtful:
        return "not driven", found.undriven or f"{found.instead or _LED}."
    if found.broken:
        return "fails", found.broken
    return "spurious", f"In the real runtime, {found.instead}." if found.instead else "In the real runtime it holds."


def test_text(project: Project, spec: str, finding: Finding, way: Arranged, file: Path) -> str:
    """The file's text."""
    flow, question = project.program.flow, QUESTION[finding.code]
    result, why = result_of(way)
    place = f"{os.path.basename(project.file)}:{finding.line}" if finding.line else finding.where
    told = [
        *textwrap.wrap(f"{finding.says}", _WIDTH),
        *textwrap.wrap(f"Mend {place or 'the flow'}: {finding.fix}", _WIDTH),
        "",
        *textwrap.wrap(_HOW[result].format(why=why), _WIDTH),
    ]
    asserted = _ASSERTED.get(finding.code, "assert_it_goes_another_way()")
    asserted = asserted.format(policy=_quoted(policy_of(finding)), near=flow.person_within)
    loop = f"LOOP = (\n{_steps(way.loop)})\n" if finding.code == "P305" else ""
    rest = () if finding.code == "P305" else way.loop
    name = re.sub(r"[^a-z0-9]+", "_", question.says.lower()).strip("_")
    local = Path(spec).exists()
    flow_is = f"Path(__file__).parent / {_quoted(_relative(project.file, file))}" if local else _quoted(spec)
    docstring = "\n".join((f'"""{finding.code} of {flow.name} v{flow.version}: {question.says}', "", *told, '"""'))
    return (
        docstring.replace("\\", "\\\\")
        + "\n\n"
        + ("from pathlib import Path\n\n" if local else "")
        + "from interlock.testing.drive import Step, drive\n\n"
        + f"FLOW = {flow_is}\n"
        + f"WAY = (\n{_steps((*way.way, *rest))})\n"
        + loop
        + f"\n\ndef test_{name}() -> None:\n"
        + f"    drive(FLOW, WAY).{asserted}\n"
    )


_LED = "it holds where members and child conversations do what the test can make them do"
_HOW = {
    "fails": "Fails while the flow has the fault: {why}",
    "spurious": "SPURIOUS: the checker allows for more than the runtime does, and this test passes. {why}",
    "not driven": "NOT DRIVEN to its end, and so this test shows nothing: {why}",
}


def _steps(steps: tuple[Step, ...]) -> str:
    return "".join(f"    {line}\n" for step in steps for line in _step(step))


def _step(step: Step) -> Iterator[str]:
    """One step, on one line where it fits; what is arranged for it stands by name."""
    parts = [repr(step.state), repr(step.on), repr(step.goes_to)]
    more = [f"{name}={value!r}" for name in ("facts", "verdicts", "limit", "tools") if (value := getattr(step, name))]
    line = f"Step({', '.join((*parts, *more))}),"
    if len(line) <= _WIDTH:
        yield line.replace("'", '"') if '"' not in line else line
        return
    yield f"Step({', '.join(parts)},"
    yield from (f"     {one}," for one in more)
    yield "),"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _relative(flow: str, file: Path) -> str:
    return Path(os.path.relpath(Path(flow).resolve(), file.resolve().parent)).as_posix()
