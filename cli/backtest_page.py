"""The report of a backtest as one HTML page: nothing is loaded from anywhere, in the reader's light or dark."""

import html
from collections.abc import Iterator, Sequence
from typing import Any

from .flow_picture import Flowing, sankey
from .terminal import counted

_WORDS = {
    "same": ("same", "Goes the same way, with the answers that were recorded."),
    "rerouted": ("re-routed", "Another label, or another state."),
    "illegal": ("illegal now", "The new flow refuses it, or has no such state."),
    "limit": ("limit now reached", "A limit stops it that did not."),
    "needs_model": ("needs a model", "It asks what was not asked then; the recorded answer does not apply."),
    "needs_tool": ("needs a tool", "It asks a tool that was not asked then."),
    "unknown": ("depends on an erased text", "Nothing is guessed of what was erased."),
}
_CELLS = 14
"""Labels of a matrix, the most frequent; the others are added up."""
OTHER = "others"

_STYLE = """
:root { color-scheme: light dark; --ink: #1d232b; --soft: #5c6773; --line: #d8dee5; --paper: #fff; --card: #f5f7f9;
  --same: #3f8f63; --rerouted: #c77700; --illegal: #c22f3d; --limit: #9146c7; --needs_model: #2c74c9;
  --needs_tool: #2a9aa8; --unknown: #7c8792; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --soft: #9aa6b2; --line: #38424d; --paper: #14181d;
  --card: #1d232a; --same: #5cc08a; --rerouted: #f0a640; --illegal: #ff6b76; --limit: #c48bf0; --needs_model: #6aa9f7;
  --needs_tool: #58c8d4; --unknown: #9aa6b2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); } code { font: .86em ui-monospace, monospace; }
.bar { display: flex; height: 1.6rem; border-radius: .4rem; overflow: hidden; margin: 1.2rem 0 .8rem; }
.bar span { min-width: 2px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .94rem; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 500; } .n { text-align: right; font-variant-numeric: tabular-nums; }
.dot { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%; margin-right: .5rem; }
.matrix td, .matrix th { padding: .3rem .5rem; text-align: right; border: 1px solid var(--line); }
.matrix th:first-child { text-align: left; white-space: nowrap; }
.matrix thead th { white-space: nowrap; }
article { background: var(--card); border-radius: .6rem; padding: .8rem 1rem; margin: .7rem 0; }
article h3 { margin: 0 0 .3rem; font-size: 1rem; } article ul { margin: .3rem 0; padding-left: 1.2rem; }
pre { overflow-x: auto; margin: .5rem 0 0; padding: .5rem .7rem; background: var(--paper); border-radius: .4rem;
  font-size: .82rem; }
.good { color: var(--same); } .bad { color: var(--illegal); } svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
"""


def page(document: dict[str, Any]) -> str:
    """The page of `backtest_document`."""
    body = "".join(
        (
            _head(document),
            _verdicts(document),
            *(_moved(document, by) for by in ("label", "state")),
            _lists(document),
            _policies(document),
            _standards(document),
            _top(document),
            _problems(document),
            _foot(document),
        )
    )
    title = _safe(f"Backtest of {document['flow']} v{document['version']}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>\n<body>{body}</body></html>\n"
    )


def _safe(text: object) -> str:
    return html.escape(str(text))


def _share(number: int, of: int) -> str:
    return f"{100 * number / of:.2f} %" if of else "–"


def _head(document: dict[str, Any]) -> str:
    versions = ", ".join(
        f"{count:,} on <code>{_safe(digest[:12])}</code>" for digest, count in document["versions"].items()
    )
    return (
        f"<h1>{_safe(document['flow'])} v{document['version']} on what was recorded</h1>"
        f'<p class="soft">Digest <code>{_safe(document["digest"][:12])}</code>, from '
        f"<code>{_safe(document['source'])}</code>. Each turn is decided from the conversation as it was when its "
        "input came; recorded answers are given again where the same is asked, and no model was called.</p>"
        f"<p><b>{document['conversations']:,}</b> conversations, <b>{document['turns']:,}</b> turns, "
        f"<b>{document['decisions']:,}</b> decisions. <b>{document['differing']:,}</b> conversations differ somewhere. "
        f'<span class="soft">Recorded: {versions or "none"}.</span></p>'
    )


def _verdicts(document: dict[str, Any]) -> str:
    turns, found = document["turns"], document["verdicts"]
    bar = "".join(
        f'<span style="flex:{number};background:var(--{name})" title="{_WORDS[name][0]}: {number:,}"></span>'
        for name, number in found.items()
        if number
    )
    rows = "".join(
        f'<tr><td><span class="dot" style="background:var(--{name})"></span>{_WORDS[name][0]}</td>'
        f'<td class="n">{number:,}</td><td class="n">{_share(number, turns)}</td>'
        f'<td class="soft">{_WORDS[name][1]}</td></tr>'
        for name, number in found.items()
    )
    return (
        f'<div class="bar" role="img" aria-label="Turns by verdict">{bar}</div><div class="scroll"><table><thead><tr>'
        f'<th>turns</th><th class="n">number</th><th class="n">share</th><th></th></tr></thead>{rows}</table></div>'
    )


def _moved(document: dict[str, Any], by: str) -> str:
    moved = [one for one in document["moved"] if one["by"] == by]
    if not moved:
        return ""
    ways = _limited(moved)
    picture = sankey([Flowing(was, now, turns) for (was, now), turns in ways.items()])
    what = "By label" if by == "label" else "By state"
    return (
        f"<h2>{what}: where {counted(sum(one['turns'] for one in moved), 'turn')} went, and would go now</h2>"
        f'{picture}<div class="scroll">{_matrix(ways)}</div>'
    )


def _limited(moved: Sequence[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Turns by (from, to), of the most frequent names on each side; the others together."""
    kept = [_most(moved, side) for side in ("was", "now")]
    ways: dict[tuple[str, str], int] = {}
    for one in moved:
        was = one["was"] if one["was"] in kept[0] else OTHER
        now = one["now"] if one["now"] in kept[1] else OTHER
        ways[was, now] = ways.get((was, now), 0) + one["turns"]
    return dict(sorted(ways.items(), key=lambda item: -item[1]))


def _most(moved: Sequence[dict[str, Any]], side: str) -> frozenset[str]:
    sums: dict[str, int] = {}
    for one in moved:
        sums[one[side]] = sums.get(one[side], 0) + one["turns"]
    ordered = sorted(sums, key=lambda name: -sums[name])
    return frozenset(ordered if len(ordered) <= _CELLS else ordered[: _CELLS - 1])


def _matrix(ways: dict[tuple[str, str], int]) -> str:
    rows, columns = (list(dict.fromkeys(way[side] for way in ways)) for side in (0, 1))
    most = max(ways.values())
    head = "".join(f"<th>{_safe(column)}</th>" for column in columns)
    body = "".join(
        f"<tr><th>{_safe(row)}</th>{''.join(_cell(ways.get((row, column), 0), most) for column in columns)}</tr>"
        for row in rows
    )
    return f'<table class="matrix"><thead><tr><th>from \\ to</th>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cell(number: int, most: int) -> str:
    if not number:
        return "<td></td>"
    depth = 12 + round(58 * number / most)
    return f'<td style="background:color-mix(in srgb, var(--rerouted) {depth}%, transparent)">{number:,}</td>'


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The last column is a number."""
    if not rows:
        return ""
    last = len(headings) - 1

    def line(cells: Sequence[object], tag: str) -> str:
        made = (
            f"<{tag} class={'n' if at == last else 'x'}>{_safe(f'{cell:,}' if isinstance(cell, int) else cell)}</{tag}>"
            for at, cell in enumerate(cells)
        )
        return f"<tr>{''.join(made)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f'<h2>{_safe(title)}</h2><div class="scroll"><table>{line(headings, "th")}{body}</table></div>'


def _lists(document: dict[str, Any]) -> str:
    parts = (
        ("Why turns are illegal, limited or unknown", "reason", "reasons"),
        ("Who would have to be asked", "agent or tool", "needs"),
        ("The same way, and yet not in every respect", "what differs", "notes"),
    )
    made = (_table(title, (name, "turns"), _most_first(document[key])) for title, name, key in parts)
    return "".join(made)


def _policies(document: dict[str, Any]) -> str:
    broken = {one["name"]: one for one in document["policies"]}
    rows = [
        (name, broken.get(name, {}).get("recorded", 0), broken.get(name, {}).get("now", 0))
        for name in document["watched"]
    ]
    made = [(name, f"{recorded:,}", now) for name, recorded, now in rows]
    return _table("Policies: turns that break them", ("policy", "as recorded", "with this flow"), made)


def _standards(document: dict[str, Any]) -> str:
    if not document["standards"]:
        return ""
    rows = "".join(
        f'<tr><td class="{"good" if one["holds"] else "bad"}">{"holds" if one["holds"] else "fails"}</td>'
        f'<td><code>{_safe(one["rule"])}</code></td><td class="n">{one["number"]:,} of {one["of"]:,} '
        f"({_share(one['number'], one['of'])})</td></tr>"
        for one in document["standards"]
    )
    return f"<h2>Standards</h2><table>{rows}</table>"


def _top(document: dict[str, Any]) -> str:
    if not document["top"]:
        return ""
    return "<h2>The conversations that differ most</h2>" + "".join(_conversation(one) for one in document["top"])


def _conversation(one: dict[str, Any]) -> str:
    turns = "".join(f"<li>{line}</li>" for line in _turn_lines(one["turns"]))
    commands = "\n".join(_safe(command) for command in one["commands"])
    return (
        f'<article id="{_safe(one["id"])}"><h3>{_safe(one["id"])}</h3><ul>{turns}</ul><pre>{commands}</pre></article>'
    )


def _turn_lines(turns: Sequence[dict[str, Any]]) -> Iterator[str]:
    for turn in turns[:8]:
        name = turn["verdict"]
        way = f": {_safe(turn['was'])} → {_safe(turn['now'])}" if turn.get("was") and turn.get("now") else ""
        why = f" <span class=soft>({_safe(turn['reason'])})</span>" if turn.get("reason") else ""
        needs = f" <span class=soft>and needs {_safe(', '.join(turn['needs']))}</span>" if turn.get("needs") else ""
        yield (
            f'event {turn["version"]}, <b style="color:var(--{name})">{_WORDS[name][0]}</b>{way}{why}'
            f"{needs if not why else ''}"
        )
    if len(turns) > 8:
        yield f"and {len(turns) - 8} more turns"


def _problems(document: dict[str, Any]) -> str:
    rows = [(one["id"], one["what"]) for one in document["problems"]]
    if not rows:
        return ""
    body = "".join(f"<tr><td><code>{_safe(name[:8])}</code></td><td>{_safe(what)}</td></tr>" for name, what in rows)
    return f'<h2>Could not be judged: {document["failed"]:,}</h2><div class="scroll"><table>{body}</table></div>'


def _foot(document: dict[str, Any]) -> str:
    cost = document["cost"]
    return (
        "<h2>Cost</h2><p>Model calls that were made: "
        f"{cost['paid']:.4f} {_safe(cost['currency'])}. Of these would be made again: {cost['would_be']:.4f} "
        f"({cost['would_be'] - cost['paid']:+.4f}). What would have to be asked besides costs at most "
        f"{cost['more_at_most']:.4f} (its reservations).</p>"
        f'<p class="soft">{document["seconds"]:.1f} s, {document["model_calls"]} model calls'
        f"{_left_out(document['forks'])}.</p>"
    )


def _most_first(numbers: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(numbers.items(), key=lambda item: -item[1])


def _left_out(forks: int) -> str:
    return f"; {forks:,} fork{'' if forks == 1 else 's'} left out, which begin with copies" if forks else ""
