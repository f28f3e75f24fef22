"""Tests that drive the real runtime along a way, with agents, routers, tools, people and a clock that do what each
step says: what `interlock check --write-tests` writes, and short enough to be written by hand.

```python
def test_a_clerk_is_reached() -> None:
    drive("orders.yaml", (Step("greeting", "message", "asking"),)).assert_a_person_can_be_reached()
```

A way that the flow does not go any more breaks nothing. What cannot be arranged from outside skips the test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import SkipTest

from ..fsm.program import Program
from ..service.driving.properties import (
    Closed,
    Ends,
    Kept,
    Moves,
    Near,
    Property,
    Reaches,
    nothing_untrusted,
)
from ..service.driving.trial import tried
from ..service.driving.way import Step
from ..service.project import load_project

__all__ = ["Drive", "Step", "drive"]


@dataclass(frozen=True, slots=True)
class Drive:
    """A flow, and the way that is driven before anything is asserted."""

    program: Program
    way: tuple[Step, ...] = ()

    def assert_it_ends(self, *loop: Step) -> None:
        """However often these steps are offered again, a limit, an input or a person ends them within one turn."""
        self._assert(Ends(loop))

    def assert_an_end_can_be_reached(self) -> None:
        """From there, some outcomes lead to a final state."""
        self._assert(Reaches("an end"))

    def assert_a_person_can_be_reached(self) -> None:
        """From there, some outcomes lead to somebody who decides."""
        self._assert(Reaches("a person"))

    def assert_a_person_is_near(self, rows: int) -> None:
        """From there, somebody who decides is at most so many rows away."""
        self._assert(Near(rows))

    def assert_nothing_untrusted_is_acted_on(self) -> None:
        """No tool that changes something is asked while what somebody wrote is neither confirmed nor approved."""
        self._assert(nothing_untrusted(self.program))

    def assert_the_policy_is_kept(self, name: str) -> None:
        """The rows keep it by themselves: nothing has to be refused for it."""
        self._assert(Kept(name))

    def assert_something_moves_it(self) -> None:
        """From there, an effect in hand or a deadline moves the conversation, if it has not ended."""
        self._assert(Moves())

    def assert_it_goes_another_way(self) -> None:
        """The flow does not go this way to its end."""
        self._assert(Closed())

    def _assert(self, what: Property) -> None:
        __tracebackhide__ = True
        found = tried(self.program, self.way, what)
        if found.undriven:
            raise SkipTest(f"Not driven: {found.undriven}")
        if found.broken:
            raise AssertionError(found.broken)


def drive(flow: str | Path | Program, way: Sequence[Step] = ()) -> Drive:
    """The flow as it is now, and a way through it. Raises `SetupError` or `FlowError` where it cannot be loaded."""
    return Drive(flow if isinstance(flow, Program) else load_project(str(flow)).program, tuple(way))
