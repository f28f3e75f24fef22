"""Coverage against error, drawn: in letters for the terminal, as SVG text, and as PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from ..agents.evaluation import Point
from ..contracts.errors import CallError, SetupError

_WIDE, _HIGH = 60, 11
_SVG_WIDE, _SVG_HIGH, _LEFT, _TOP = 640, 400, 64, 48


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve of a plot: its name, its sign in the terminal, its colour, and its points."""

    name: str
    sign: str
    colour: str
    points: Sequence[Point]


def top_error(curves: Sequence[Curve]) -> float:
    """Where the axis of errors ends: a round number above every curve's end, at most 1."""
    worst = max((curve.points[-1].error for curve in curves if curve.points), default=0.0)
    return next((top for top in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0) if worst <= top), 1.0)


def in_letters(curves: Sequence[Curve]) -> list[str]:
    """The plot as lines: error upwards, the share routed to the right."""
    top = top_error(curves)
    grid = [[" "] * (_WIDE + 1) for _ in range(_HIGH)]
    for curve in reversed(curves):
        for column, error in enumerate(_by_column(curve.points)):
            if error is not None:
                row = _HIGH - 1 - min(_HIGH - 1, int(error / top * (_HIGH - 1) + 0.5))
                grid[row][column] = curve.sign
    lines = []
    for number, cells in enumerate(grid):
        error = top * (_HIGH - 1 - number) / (_HIGH - 1)
        mark = f"{error:>6.1%}" if number % 2 == 0 else " " * 6
        lines.append(f"{mark} │{''.join(cells).rstrip()}")
    lines.append(f"{'':7}└{'─' * (_WIDE + 1)}")
    lines.append(f"{'':8}0 %{'share routed':^{_WIDE - 6}}100 %")
    return lines


def _by_column(points: Sequence[Point]) -> list[float | None]:
    """The error where each column's share is reached; nothing before the curve's first point and after its end."""
    found: list[float | None] = [None] * (_WIDE + 1)
    place = 0
    for column in range(_WIDE + 1):
        while place < len(points) and points[place].coverage * _WIDE < column - 0.5:
            place += 1
        if place < len(points) and points[place].coverage * _WIDE <= column + 0.5:
            found[column] = points[place].error
    for column in range(1, _WIDE):
        if found[column] is None and found[column - 1] is not None and any(one is not None for one in found[column:]):
            found[column] = found[column - 1]
    return found


def as_svg(curves: Sequence[Curve], title: str) -> str:
    """The plot as an SVG document of its own."""
    top = top_error(curves)
    right, bottom = _SVG_WIDE - 24, _SVG_HIGH - 56

    def x(share: float) -> float:
        return _LEFT + share * (right - _LEFT)

    def y(error: float) -> float:
        return bottom - min(error, top) / top * (bottom - _TOP)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SVG_WIDE}" height="{_SVG_HIGH}" '
            f'viewBox="0 0 {_SVG_WIDE} {_SVG_HIGH}" font-family="Open Sans,Helvetica,Arial,sans-serif" font-size="12">'
        ),
        f'<rect width="{_SVG_WIDE}" height="{_SVG_HIGH}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="26" font-size="15" font-weight="bold" fill="#1f2328">{escape(title)}</text>',
    ]
    for step in range(6):
        share, error = step / 5, top * step / 5
        parts += [
            f'<line x1="{_LEFT}" y1="{y(error):.1f}" x2="{right}" y2="{y(error):.1f}" stroke="#d8dee4"/>',
            f'<text x="{_LEFT - 8}" y="{y(error) + 4:.1f}" text-anchor="end" fill="#57606a">{error:.1%}</text>',
            f'<text x="{x(share):.1f}" y="{bottom + 18}" text-anchor="middle" fill="#57606a">{share:.0%}</text>',
        ]
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 40}" text-anchor="middle" fill="#1f2328">share routed</text>')
    parts.append(f'<text x="{_LEFT}" y="{_TOP - 8}" fill="#1f2328">error among the routed</text>')
    for number, curve in enumerate(curves):
        line = " ".join(f"{x(one.coverage):.1f},{y(one.error):.1f}" for one in thinned(curve.points, 300))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{curve.colour}" stroke-width="2"/>')
        place = _TOP + 16 + number * 18
        parts.append(
            f'<line x1="{_LEFT + 16}" y1="{place - 4}" x2="{_LEFT + 40}" y2="{place - 4}" '
            f'stroke="{curve.colour}" stroke-width="2"/>'
        )
        parts.append(f'<text x="{_LEFT + 48}" y="{place}" fill="#1f2328">{escape(curve.name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most about `most` of the points, the last among them."""
    step = max(1, len(points) // most)
    kept = list(points[::step])
    if points and kept[-1] is not points[-1]:
        kept.append(points[-1])
    return kept


def write_plot(path: Path, curves: Sequence[Curve], title: str) -> None:
    """The plot as .svg or .png at `path`. Raises `CallError` for another ending, or a folder that is not there."""
    picture = as_svg(curves, title)
    if path.suffix.lower() == ".png":
        data = _png(picture)
    elif path.suffix.lower() == ".svg":
        data = picture.encode("utf-8")
    else:
        raise CallError(f"The ending {path.suffix!r} is no picture's.", where=str(path), fix="Use .svg or .png.")
    write_bytes(path, data, "The plot")


def write_bytes(path: Path, data: bytes, what: str) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise CallError(
            f"{what} cannot be written: {error.strerror or error}.",
            where=str(path),
            fix="Name a file in a folder that exists.",
        ) from error


def _png(picture: str) -> bytes:
    try:
        import resvg_py
        import ttf_opensans
    except ImportError as error:
        raise SetupError("A PNG needs resvg_py, which is not installed.", fix="Write an .svg instead.") from error
    files = [str(ttf_opensans.opensans(font_weight=weight).path) for weight in (400, 700)]
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=picture, font_files=files, font_family="Open Sans", sans_serif_family="Open Sans",
            skip_system_fonts=True, background="#ffffff", zoom=2,
        )
    )  # fmt: skip
