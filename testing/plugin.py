"""`pytest --flow FLOW`: everything that can be asked of a flow, without a line written.

Nothing else of the package is imported until a flow is named.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

_REPORT = "interlock_flow"
_ORACLES = {
    "sentence": "a guard does not do what its sentence says",
    "rules": "a rule's phrase is routed to another label",
    "baseline guards": "a guard says something else than the baseline recorded",
    "baseline paths": "a conversation of the baseline goes another way",
    "random baseline": "a random conversation goes another way than on the baseline's flow",
    "paths": "something that must always hold is broken, on a path of the suite",
    "always": "something that must always hold is broken, in a random conversation",
    "rows": "rows were not taken",
}
"""By the oracle of what was found: what is wrong."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("interlock", "conversation flows (interlock)")
    group.addoption(
        "--flow",
        action="append",
        default=[],
        metavar="FLOW",
        help="Test this flow: a flow.yaml, its folder, a package, module:attribute, or an example such as bank.",
    )
    group.addoption("--flow-examples", type=int, default=100, metavar="N", help="Random conversations. [100]")
    group.addoption("--flow-steps", type=int, default=20, metavar="N", help="Acts of each. [20]")
    group.addoption("--flow-runs", type=int, default=1_500, metavar="N", help="Tries for the path suite. [1500]")
    group.addoption("--flow-seconds", type=float, default=60, metavar="S", help="Time for the path suite. [60]")
    group.addoption("--flow-pairs", action="store_true", help="Every pair of rows, not only every row.")
    group.addoption("--flow-seed", type=int, default=0, metavar="N", help="Of the random conversations. [0]")
    group.addoption("--flow-baseline", type=Path, metavar="FILE", help="Compare with the behaviour in this file.")
    group.addoption(
        "--flow-write-baseline", type=Path, metavar="FILE", help="Write today's behaviour, where nothing is wrong."
    )
    group.addoption(
        "--flow-out",
        type=Path,
        default=Path(".interlock"),
        metavar="FOLDER",
        help="Where conversations that broke something are kept, as a log and as a test. [.interlock]",
    )


def _flows(config: pytest.Config) -> list[str]:
    found: list[str] = config.getoption("--flow")
    return found


def _only_flows(config: pytest.Config) -> bool:
    """A flow is named and no file: then the flow is what is tested."""
    return bool(_flows(config)) and config.args_source != pytest.Config.ArgsSource.ARGS


@pytest.hookimpl(tryfirst=True)
def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return True if _only_flows(config) else None


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    for flow in _flows(config):
        collected = FlowCollector.from_parent(session, name=f"flow {flow}", nodeid=flow, flow=flow)
        items.extend(collected.collect())


class FlowCollector(pytest.Collector):
    """The questions that are asked of one flow."""

    def __init__(self, *, flow: str, **more: Any) -> None:
        super().__init__(**more)
        self.flow = flow
        self._asked: Any = None

    def _getobj(self) -> None:
        return None

    def collect(self) -> Iterable["FlowItem"]:
        from .checking import QUESTIONS

        return [FlowItem.from_parent(self, name=name) for name in QUESTIONS]

    @property
    def asked(self) -> Any:
        """What is known of the flow so far: later questions go on from earlier ones."""
        if self._asked is None:
            from ..service.project import load_project
            from .baseline import read
            from .checking import Asked, Budget

            option = self.config.getoption
            budget = Budget(
                examples=option("--flow-examples"),
                steps=option("--flow-steps"),
                runs=option("--flow-runs"),
                seconds=option("--flow-seconds"),
                pairs=option("--flow-pairs"),
                seed=option("--flow-seed"),
            )
            file = option("--flow-baseline")
            self._asked = Asked(load_project(self.flow).program, budget, read(file) if file is not None else None)
        return self._asked


class Wrong(Exception):
    """A question whose answer is not what it should be."""

    def __init__(self, found: Any, places: list[str]) -> None:
        self.found, self.places = found, places
        super().__init__(str(found))


class FlowItem(pytest.Item):
    """One question about one flow."""

    parent: FlowCollector

    def runtest(self) -> None:
        from .checking import QUESTIONS

        asked = self.parent.asked
        found = QUESTIONS[self.name](asked)
        if self.name == "anything_may_happen":
            self._report(asked, wrong=found is not None)
        if found is not None:
            raise Wrong(found, self._kept(asked, found))

    def _report(self, asked: Any, *, wrong: bool) -> None:
        from .sentences import untold

        lines = [asked.coverage.report()] if asked.coverage is not None else []
        lines.append("  the flow's own tools and models were not run: doubles answered for them")
        if asked.baseline is None:
            lines.append(
                "  no baseline was given, so nothing was compared with how the flow went before; write one: "
                f"pytest --flow {self.parent.flow} --flow-write-baseline baseline.json"
            )
        lines += [f"  note: {one}" for one in untold(asked.program)]
        file = self.config.getoption("--flow-write-baseline")
        if file is not None and asked.suite is not None and not wrong:
            from .baseline import recorded_by, written

            baseline = recorded_by(asked.suite)
            file.write_text(written(baseline), encoding="utf-8")
            lines.append(f"  {file}: the behaviour on {len(baseline.paths)} paths was written")
        self.user_properties.append((_REPORT, "\n".join(lines)))

    def _kept(self, asked: Any, found: Any) -> list[str]:
        from .keeping import kept

        name = f"{asked.program.ref.name}_{self.name}"
        log, test = kept(asked.program, found, self.config.getoption("--flow-out"), name, self.parent.flow)
        places = [f"the log: interlock log --db {log}   (replay: interlock replay --all --db {log})"]
        kept_test = f"the test, which fails until this is mended: {test}"
        return [*places, kept_test] if log is not None else [kept_test]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any, **__: Any) -> Any:
        if not isinstance(excinfo.value, Wrong):
            return super().repr_failure(excinfo)
        found, places = excinfo.value.found, excinfo.value.places
        tried = f" (conversation {found.examples:,} of those that were tried)" if found.examples else ""
        return "\n".join((f"{self.parent.flow}: {_ORACLES[found.oracle]}{tried}", "", str(found), "", *places))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.config.rootpath, None, f"{self.parent.flow}: {self.name.replace('_', ' ')}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The coverage of each flow, also where other processes found it out."""
    texts = list(_reports(terminalreporter.stats))
    if texts:
        terminalreporter.section("flow coverage")
        for text in texts:
            terminalreporter.write_line(text)


def _reports(stats: dict[str, list[Any]]) -> Iterator[str]:
    for reports in stats.values():
        for report in reports:
            for name, text in getattr(report, "user_properties", ()):
                if name == _REPORT and text and getattr(report, "when", "") == "call":
                    yield text
