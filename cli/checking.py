"""`interlock check`: what is wrong with a flow, what it can do, and the same for code review, CI and pytest."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..contracts.errors import CallError, FlowError
from ..contracts.flow import Flow
from ..fsm.describe import described
from ..fsm.prove.findings import Proof
from ..fsm.prove.promela import promela
from ..fsm.prove.proof import proved
from ..fsm.prove.versions import Versus, versus
from ..service.project import Project, load_project
from .against import against_document, moves_of, old_project, show_against
from .flows import checked_document, faults_document, show_checked, show_faulty
from .junit import junit
from .prices import priced
from .progress import Progress
from .proving import proof_document, show_proof
from .sarif import sarif
from .terminal import MARKS, Terminal, write_json
from .writing import Written, write_tests


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted besides the answer itself."""

    describe: bool = False
    as_json: bool = False
    sarif: Path | None = None
    junit: Path | None = None
    promela: Path | None = None
    tests: Path | None = None
    against: str = ""
    moves: tuple[str, ...] = ()
    prices: Path | None = None


def check(flow: str, wanted: Wanted) -> int:
    """Say the flow's faults, or that it has none and what it can do; 1 if anything is wrong."""
    try:
        project = load_project(flow)
    except FlowError as error:
        if not error.faults:
            raise
        _write_reports(wanted, flow, error.where, {"faults": error.faults})
        write_json(faults_document(error)) if wanted.as_json else show_faulty(error)
        return 1
    if wanted.prices is not None:
        project = replace(project, program=priced(project.program, wanted.prices))
    if wanted.describe:
        write_json(checked_document(project)) if wanted.as_json else sys.stdout.write(described(project.program.flow))
        return 0
    if wanted.promela is not None:
        write_report(wanted.promela, lambda: promela(project.program.flow))
    terminal = Terminal()
    if not wanted.as_json:
        show_checked(terminal, project)
    with Progress() as progress:
        proof = proved(project.program, project.lines, told=progress)
    found = project.program.flow
    written = write_tests(project, flow, proof, wanted.tests) if wanted.tests is not None else ()
    compared = _compared(project, proof, wanted) if wanted.against else None
    if wanted.as_json:
        document = checked_document(project) | {"ok": proof.holds, "proof": proof_document(found, proof)}
        tests = {"tests": [one.document() for one in written]} if wanted.tests is not None else {}
        other = against_document(compared.versus, compared.flows, compared.proofs) if compared else None
        write_json(document | tests | ({"against": other} if other else {}))
    else:
        show_proof(terminal, found, proof, project.file)
        _show_written(terminal, written, wanted.tests)
        if compared is not None:
            show_against(terminal, compared.versus, compared.flows, compared.proofs)
        terminal.line(("--describe prints it in English for its owner to read.", "dim"), indent=2)
    _write_reports(wanted, found.name, project.file, {"flow": found, "proof": proof})
    return 0 if proof.holds and (compared is None or compared.versus.safe) else 1


@dataclass(frozen=True, slots=True)
class Compared:
    """The flow against an older version of it."""

    versus: Versus
    flows: tuple[Flow, Flow]
    proofs: tuple[Proof, Proof]


def _compared(project: Project, proof: Proof, wanted: Wanted) -> Compared:
    old = old_project(wanted.against, project)
    flows = (old.program.flow, project.program.flow)
    with Progress() as progress:
        proofs = (proved(old.program, old.lines, told=progress), proof)
    found = versus(old.program, project.program, proofs, moves_of(wanted.moves, *flows))
    return Compared(found, flows, proofs)


def _show_written(terminal: Terminal, written: tuple[Written, ...], folder: Path | None) -> None:
    """Which tests were written, and how each comes out today."""
    if folder is None:
        return
    terminal.rule("Tests")
    for one in written:
        sign = {"fails": MARKS.bad, "spurious": MARKS.good, "not driven": MARKS.warn}[one.result]
        terminal.hang(
            terminal.text((f"{sign} {one.code}", "bold")), (f"{one.file}: {one.result}", ""), f": {one.why}", indent=1
        )
    if not written:
        terminal.line(("nothing is refuted that could be driven: no test was written", "dim"), indent=1)


def _write_reports(wanted: Wanted, name: str, file: str, found: dict[str, Any]) -> None:
    from .. import __version__

    if wanted.sarif is not None:
        write_report(wanted.sarif, lambda: json.dumps(sarif(file, __version__, **found), indent=2) + "\n")
    if wanted.junit is not None:
        write_report(wanted.junit, lambda: junit(name, file, **found))


def write_report(file: Path, made: Callable[[], str]) -> None:
    """Raises `CallError` where the file cannot be written."""
    try:
        file.write_text(made(), "utf-8")
    except OSError as error:
        raise CallError(
            f"The report cannot be written: {error.strerror}.",
            where=str(file),
            fix="Name a file in a folder that exists.",
        ) from error
