"""The test that keeps a failure: it fails while the bug is there, and passes once it is mended.

What it asserts is what is right: the words that the baseline recorded, a guard's own sentence, a rule's label, or that
nothing is broken; never what the flow does today.
"""

from collections.abc import Sequence
from typing import Any

from ..cli.as_pytest import written_act
from ..service.acts import Act

_CANNOT = "cannot be done: "


def conversation_test(
    flow: str, name: str, acts: Sequence[Act], expected: Sequence[Sequence[str]], faults: Sequence[str]
) -> str:
    """A test that plays the acts. `expected` is what must happen before the first act, then after each; where it is
    empty, the test asks at the end whether anything is broken."""
    body: list[str] = []
    refused = False
    for at, act in enumerate((None, *acts)):
        right = list(expected[at]) if at < len(expected) else None
        refused = right is not None and bool(right) and right[0].startswith(_CANNOT)
        if refused and act is not None:
            body += ["with pytest.raises(AssertionError):  # this could not be done", f"    {written_act(act)}"]
            break
        if act is not None:
            body.append(written_act(act))
        if right is not None:
            body += _happens(right)
    if not expected:
        body.append("talk.keeps_what_must_hold()")
    imports = ["import pytest", "", *_IMPORT] if refused else _IMPORT
    doc = _doc(faults)
    return "\n".join(
        (
            *doc,
            "",
            *imports,
            "",
            "",
            f"def test_{name}() -> None:",
            f"    with Scenario({flow!r}) as talk:",
            *(f"        {line}" for part in body for line in part.splitlines()),
            "",
        )
    )


_IMPORT = ["from interlock.testing import Scenario"]


def _happens(words: Sequence[str]) -> list[str]:
    if not words:
        return ["talk.happens()"]
    return ["talk.happens(", *(f"    {one!r}," for one in words), ")"]


def asserting_test(flow: str, name: str, asserts: Sequence[tuple[str, tuple[Any, ...]]], faults: Sequence[str]) -> str:
    """A test of single answers: of guards (`guard_says`) and phrases (`phrase_means`)."""
    functions = ", ".join(sorted({one for one, _ in asserts}))
    calls = [f"    {function}({', '.join(map(repr, (flow, *given)))})" for function, given in asserts]
    return "\n".join(
        (
            *_doc(faults),
            "",
            f"from interlock.testing import {functions}",
            "",
            "",
            f"def test_{name}() -> None:",
            *calls,
            "",
        )
    )


def _doc(faults: Sequence[str]) -> list[str]:
    """Comments, for what is quoted may hold anything."""
    lines = [line for one in faults for line in one.splitlines()]
    return ["# Fails while this is so, passes once it is mended:", *(f"#   {line}" for line in lines)]
