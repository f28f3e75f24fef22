"""What `interlock route` is asked about: a trained artefact by itself, or a router of a flow."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..agents.classifier import LinearTable
from ..agents.embedding import EmbeddingTable, Model2VecEmbedder
from ..contracts.errors import CallError
from ..contracts.flow import RouterSpec
from ..contracts.routing import Classifier
from ..contracts.values import listed
from ..fsm.thresholds import millionths
from ..service.project import load_project


@dataclass(frozen=True, slots=True)
class Target:
    """A router, its classifiers, and the flow it is of (None for an artefact by itself, which has no rules)."""

    spec: RouterSpec
    classifier: Classifier | None
    screener: Classifier | None = None
    flow: str | None = None

    @property
    def gated(self) -> bool:
        """Whether any gate is above 0, so that the router can say that a message is unclear or none of ours."""
        spec = self.spec
        return bool(spec.thresholds or spec.costs) or any(
            millionths(one) > 0 for one in (spec.threshold, spec.scope, spec.margin)
        )

    @property
    def table(self) -> LinearTable | None:
        """The classifier where it can say which words weighed."""
        return self.classifier if isinstance(self.classifier, LinearTable) else None


def target_of(named: str, router: str = "", embed: Path | None = None) -> Target:
    """The target that the command line names. Raises `CallError` for a router that the flow has not."""
    path = Path(named)
    if path.suffix == ".json" and not path.is_dir():
        table = LinearTable.load(path) if embed is None else EmbeddingTable.load(path, Model2VecEmbedder(embed))
        labels = {label: label.replace("_", " ") for label in table.labels}
        return Target(RouterSpec(name="router", labels=labels, several=table.independent), table)
    program = load_project(named).program
    routers = program.routers
    if not routers:
        raise CallError(f"The flow {program.flow.name!r} has no router.", fix="Give a trained router.json.")
    if router and router not in routers:
        raise CallError(f"The flow has no router {router!r}.", fix=f"It has {listed(routers)}.")
    if not router and len(routers) > 1:
        raise CallError(f"The flow has the routers {listed(routers)}.", fix="Name one with --router.")
    spec = routers[router or next(iter(routers))]
    classifiers = program.code.classifiers
    return Target(
        spec,
        classifiers.get(spec.classifier or ""),
        classifiers.get(spec.screen_classifier or ""),
        f"{program.flow.name} v{program.flow.version}",
    )


def adjusted(target: Target, threshold: str, scope: str) -> Target:
    """The router with the gates that are to be tried: a threshold for all labels stands in for all there are."""
    changes: dict[str, Any] = {}
    if threshold:
        changes |= {"threshold": gate("--threshold", threshold), "thresholds": {}, "costs": None}
    if scope:
        changes["scope"] = gate("--scope", scope)
    return replace(target, spec=target.spec.changed(**changes))


def gate(option: str, written: str) -> str:
    """A score between 0 and 1 from the command line, with six decimals."""
    whole, _, part = written.partition(".")
    if (whole in ("0", "1", "")) and len(part) <= 6 and (part or whole) and (part or "0").isdecimal():
        found = f"{whole or '0'}.{part.ljust(6, '0')}"
        if found <= "1.000000":
            return found
    raise CallError(f"{option} is {written!r}, which is no score.", fix="Give a number from 0 to 1, as in 0.7.")
