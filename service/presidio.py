"""Presidio as a tagger: it names what else a text seems to hold (a person, a place). It never lowers anything.

Needs the extra `interlock[pii]` and a language model of spaCy, which Presidio loads. Its own documentation gives no
guarantee that it finds everything; nor does this.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from ..contracts.errors import SetupError


class PresidioTagger:
    """`tags("I am Anna")` gives `("person",)`: Presidio's entity types, in lower case."""

    def __init__(self, engine: Any = None, *, language: str = "en", least_score: float = 0.5) -> None:
        """`engine` is a `presidio_analyzer.AnalyzerEngine`; without one, the default is made."""
        self._engine, self._language, self._least = engine or _made(), language, least_score

    def tags(self, text: str) -> Iterable[str]:
        found = self._engine.analyze(text=text, language=self._language)
        return tuple(sorted({_name(one.entity_type) for one in found if one.score >= self._least}))


def _name(entity: str) -> str:
    return re.sub(r"[^a-z0-9_]", "_", entity.lower())[:64]


def _made() -> Any:
    try:
        from presidio_analyzer import AnalyzerEngine
    except ImportError as error:
        raise SetupError("Presidio is not installed.", fix="Run `pip install 'interlock[pii]'`.") from error
    engine: Callable[[], Any] = AnalyzerEngine
    return engine()
