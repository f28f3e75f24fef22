"""A Sankey diagram as SVG: what went from the names on the left to those on the right, drawn to scale."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_WIDTH, _NODE, _GAP, _TALL = 960, 12, 10, 320
_LEFT, _RIGHT = 210, 750
_COLOURS = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#bb7744",
    "#7788bb",
    "#55a868",
    "#999999",
)


@dataclass(frozen=True, slots=True)
class Flowing:
    """So many went from one name to another."""

    was: str
    now: str
    number: int


@dataclass(slots=True)
class _Node:
    name: str
    number: int
    top: float
    scale: float
    used: float = 0.0

    @property
    def height(self) -> float:
        return max(self.number * self.scale, 1.5)

    def slot(self, number: int) -> tuple[float, float]:
        """The middle and the height of the next band at this node."""
        height = max(number * self.scale, 1.0)
        middle = self.top + self.used + height / 2
        self.used += number * self.scale
        return middle, height


def sankey(ways: Sequence[Flowing]) -> str:
    """The diagram; nothing for no ways."""
    if not ways:
        return ""
    most = max(len({way.was for way in ways}), len({way.now for way in ways}))
    scale = max(_TALL - _GAP * (most - 1), 60) / sum(way.number for way in ways)
    left, right = _nodes(ways, "was", scale), _nodes(ways, "now", scale)
    tall = max(node.top + max(node.height, 14.0) for node in (*left.values(), *right.values())) + 8
    colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(left)}
    bands = "".join(_bands(ways, left, right, colours))
    labels = "".join(
        (*(_label(node, colours[node.name], left=True) for node in left.values()),
         *(_label(node, "var(--soft)", left=False) for node in right.values()))
    )  # fmt: skip
    says = f"From {', '.join(left)} to {', '.join(right)}"
    return f'<svg viewBox="0 0 {_WIDTH} {tall:.0f}" role="img" aria-label="{html.escape(says)}">{bands}{labels}</svg>'


def _nodes(ways: Sequence[Flowing], side: str, scale: float) -> dict[str, _Node]:
    sums: dict[str, int] = {}
    for way in ways:
        name = way.was if side == "was" else way.now
        sums[name] = sums.get(name, 0) + way.number
    found, top = {}, 8.0
    for name, number in sorted(sums.items(), key=lambda item: -item[1]):
        found[name] = _Node(name, number, top, scale)
        top += max(found[name].height, 14.0) + _GAP
    return found


def _bands(
    ways: Sequence[Flowing], left: dict[str, _Node], right: dict[str, _Node], colours: dict[str, str]
) -> Iterator[str]:
    places = list(right)
    for name, node in left.items():
        for way in sorted((one for one in ways if one.was == name), key=lambda one: places.index(one.now)):
            (start, thick), (end, _) = node.slot(way.number), right[way.now].slot(way.number)
            begin, middle = _LEFT + _NODE, (_LEFT + _RIGHT) / 2
            yield (
                f'<path d="M{begin},{start:.1f} C{middle:.0f},{start:.1f} {middle:.0f},{end:.1f} {_RIGHT},{end:.1f}" '
                f'fill="none" stroke="{colours[name]}" stroke-opacity=".45" stroke-width="{thick:.1f}">'
                f"<title>{html.escape(way.was)} → {html.escape(way.now)}: {way.number:,}</title></path>"
            )


def _label(node: _Node, colour: str, *, left: bool) -> str:
    at, anchor = (_LEFT - 8, "end") if left else (_RIGHT + _NODE + 8, "start")
    place = _LEFT if left else _RIGHT
    return (
        f'<rect x="{place}" y="{node.top:.1f}" width="{_NODE}" height="{node.height:.1f}" fill="{colour}"/>'
        f'<text x="{at}" y="{node.top + max(node.height, 14) / 2 + 4:.1f}" text-anchor="{anchor}">'
        f"{html.escape(node.name)} {node.number:,}</text>"
    )
