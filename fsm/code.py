"""What a flow names and does not hold: guards, tools, contracts, classifiers, readers and child flows, in one value."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from pydantic import BaseModel

from ..contracts.errors import FlowError
from ..contracts.flow import Flow
from ..contracts.routing import Classifier
from ..contracts.tools import Tool
from .guards import BUILT_IN, GuardMaker

T = TypeVar("T")
Reader = Callable[[str], str | int | bool | None]
"""Finds one fact in a message: pure; None where the message does not hold it."""


@dataclass(frozen=True, slots=True)
class Subflow:
    """A flow that runs as a child conversation of another, with its own code."""

    flow: Flow
    code: "Code"


@dataclass(frozen=True, slots=True)
class Code:
    """What `flow.yaml` may name. `classifiers` are by digest, `readers` by the fact they find, `subflows` by the
    name that states call them by."""

    guards: Mapping[str, GuardMaker] = field(default_factory=lambda: MappingProxyType({}))
    tools: Mapping[str, Tool] = field(default_factory=lambda: MappingProxyType({}))
    contracts: Mapping[str, type[BaseModel]] = field(default_factory=lambda: MappingProxyType({}))
    classifiers: Mapping[str, Classifier] = field(default_factory=lambda: MappingProxyType({}))
    readers: Mapping[str, Reader] = field(default_factory=lambda: MappingProxyType({}))
    subflows: Mapping[str, Subflow] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def every_guard(self) -> Mapping[str, GuardMaker]:
        """Those that rows may name: the flow's own, and the built-in ones that it has none of the same name for."""
        return {**BUILT_IN, **self.guards}

    @classmethod
    def of(
        cls,
        *,
        guards: Iterable[GuardMaker] = (),
        tools: Iterable[Tool] = (),
        contracts: Iterable[type[BaseModel]] = (),
        classifiers: Iterable[Classifier] = (),
        readers: Mapping[str, Reader] | None = None,
        subflows: Mapping[str, Subflow] | None = None,
    ) -> "Code":
        """Gather declarations; two of one kind with the same name are refused."""
        return cls(
            guards=_by_name("guards", ((one.name, one) for one in guards)),
            tools=_by_name("tools", ((one.name, one) for one in tools)),
            contracts=_by_name("contracts", ((one.__name__, one) for one in contracts)),
            classifiers=_by_name("classifiers", ((one.digest, one) for one in classifiers)),
            readers=MappingProxyType(dict(readers or {})),
            subflows=MappingProxyType(dict(subflows or {})),
        )


def _by_name(kind: str, pairs: Iterable[tuple[str, T]]) -> Mapping[str, T]:
    found: dict[str, T] = {}
    for name, one in pairs:
        if name in found:
            raise FlowError(f"Two {kind} are called {name!r}.", fix="Rename one of them.")
        found[name] = one
    return MappingProxyType(found)
