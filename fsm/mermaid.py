"""The flow as a Mermaid state diagram (`stateDiagram-v2`), from the rows that run; the same flow, the same text.

Flow-wide rows stand in a note, for edges from every state would hide the rest.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ..contracts.flow import ANY, RETURN, Flow, State, Transition
from .describe import guard_sentence, members_of

NOTHING: Mapping[tuple[str, str], str] = MappingProxyType({})
_STYLES = {
    "wait": "fill:#ffffff,stroke:#57606a",
    "collect": "fill:#ddf4ff,stroke:#0969da",
    "route": "fill:#fff8c5,stroke:#9a6700",
    "agent": "fill:#fbefff,stroke:#8250df",
    "call": "fill:#dafbe1,stroke:#1a7f37",
    "broadcast": "fill:#e8e4ff,stroke:#5a32a3",
    "human": "fill:#fff1e5,stroke:#bc4c00",
    "subflow": "fill:#f6f0e4,stroke:#7d4e00",
    "final": "fill:#eaeef2,stroke:#24292f",
}


def mermaid(flow: Flow, way: Mapping[tuple[str, str], str] = NOTHING) -> str:
    """The diagram's text. Ids are `s_` and the state's name, so that no name means anything to Mermaid.

    `way` has a label for each edge of a way that is to be seen: its states are red, and its rows say the label.
    """
    return "\n".join(["stateDiagram-v2", *_lines(flow, way)]) + "\n"


def _lines(flow: Flow, way: Mapping[tuple[str, str], str]) -> Iterator[str]:
    seen = {state for pair in way for state in pair}
    yield "    direction TB"
    for kind, style in _STYLES.items():
        if any(state.kind == kind for state in flow.states):
            yield f"    classDef {kind} {style},color:#1f2328"
    if way:
        yield "    classDef way fill:#ffebe9,stroke:#cf222e,stroke-width:3px,color:#1f2328"
    for state in flow.states:
        yield f'    state "{state.name}<br/>{_escaped(_kind(state))}" as {_id(state.name)}'
        yield f"    class {_id(state.name)} {'way' if state.name in seen else state.kind}"
    yield f"    [*] --> {_id(flow.initial)}"
    drawn: set[tuple[str, str]] = set()
    for row in flow.transitions:
        if row.source == ANY:
            continue
        target = row.source if row.target == RETURN else row.target
        marked = f"{_escaped(way[row.source, target])}: " if (row.source, target) in way else ""
        drawn.add((row.source, target))
        yield f"    {_id(row.source)} --> {_id(target)}: {marked}{_label(flow, row)}"
    for (source, target), label in way.items():
        if (source, target) not in drawn:
            yield f"    {_id(source)} --> {_id(target)}: {_escaped(label)}"
    for state in flow.states:
        if state.kind == "final":
            yield f"    {_id(state.name)} --> [*]"
    wide = [row for row in flow.transitions if row.source == ANY]
    if wide:
        yield f"    note left of {_id(flow.initial)}"
        yield "        In any state:"
        yield from (f"        {_label(flow, row)} → {'push ' if row.push else ''}{row.target}" for row in wide)
        yield "    end note"


def _kind(state: State) -> str:
    match state.kind:
        case "agent":
            asks = f", asks {', '.join(state.agents)}" if state.agents else ""
            return f"agent {state.agent}{asks}"
        case "call":
            return f"call {state.tool}"
        case "broadcast":
            return f"broadcast {members_of(state)}"
        case "subflow":
            return f"subflow {state.flow}"
        case _:
            return state.kind


def _label(flow: Flow, row: Transition) -> str:
    condition = "" if row.guard.op == "otherwise" else f" if {guard_sentence(flow, row.guard)}"
    back = ", back to where it left" if row.target == RETURN else ""
    return _escaped(f"{row.on}{condition}{back} ({row.policy})")


def _id(name: str) -> str:
    return f"s_{name}"


def _escaped(text: str) -> str:
    """Text that Mermaid reads as nothing but text: all but letters, digits and a few signs are entities."""
    safe = "".join(one if one.isalnum() or one in " .,()_-→…" else f"#{ord(one)};" for one in text)
    return safe.replace("end note", "#101;nd note")
