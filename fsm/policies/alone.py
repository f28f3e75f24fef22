"""Policies in a file of their own, for histories that no flow of ours led: `policies:` and nothing else."""

from ...contracts.errors import FlowError
from ...contracts.flow import Flow
from ...contracts.policies import Policy
from ...contracts.values import printable
from ..checks.policies import policies_said
from ..checks.survey import Survey
from ..field_values import Misread, shown
from ..field_values import name as a_name
from ..notes import Notes, meant
from ..source import Scalar, Table, read_yaml
from .reading import read_policy


def read_policies(text: str | bytes, file: str = "") -> tuple[Policy, ...]:
    """The policies under `policies:`. Raises one `FlowError` whose `faults` are all there are.

    A name alone is a state or a tool of that name, for nothing says which there are.
    """
    node, found = read_yaml(text)
    notes = Notes(list(found))
    policies: list[Policy] = []
    if isinstance(node, Table):
        for key in node.entries:
            if key != "policies":
                what, line = f"The key {printable(key, 60)!r} is unknown here.", node.key_lines[key]
                notes.fault("R201", what, meant(key, ("policies",)), line, key)
        section = notes.section(notes.table(node, ""), "policies")
        for key, entry in section.entries.items():
            path = f"policies.{key}"
            try:
                a_name(Scalar(section.key_lines[key], key, plain=True))
            except Misread as problem:
                notes.fault(problem.code, problem.what, problem.fix, section.key_lines[key], path)
            else:
                policies.append(read_policy(key, notes.table(entry, path), path, notes))
    elif node is not None:
        notes.fault("R203", f"The file holds {shown(node)}, not policies.", "Start with `policies:`.", node.line, "")
    if not policies and not notes.faults:
        notes.fault("R202", "The file has no policies.", "Write `policies:` with a name and a rule.", 1, "policies")
    nothing = Flow(name="policies", version=0, owner="policies", initial="none", states=(), transitions=())
    survey = Survey(nothing.changed(policies=tuple(policies)), lines=notes.lines, unread=frozenset(notes.unread))
    faults = tuple(sorted((*notes.faults, *policies_said(survey)), key=lambda one: one.line))
    if faults:
        number = "1 fault" if len(faults) == 1 else f"{len(faults):,} faults"
        raise FlowError(f"The file of policies has {number}.", where=file, fix="Mend each of these:", faults=faults)
    return tuple(policies)
