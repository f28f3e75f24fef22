"""What the package imports is what it declares: nothing borrowed from a dependency's dependency, nothing dead."""

import re
import sys
from collections.abc import Iterable

from support.source_tree import Module, modules, pyproject

# Import name -> the distribution that brings it, where the two differ.
DISTRIBUTIONS = {
    "opentelemetry": "opentelemetry-api",
    "pyrate_limiter": "pyrate-limiter",
    "rfc3161_client": "rfc3161-client",
    "presidio_analyzer": "presidio-analyzer",
    "sklearn": "scikit-learn",
    "uuid_utils": "uuid-utils",
    "yaml": "pyyaml",
}

# Imported, but brought by a declared one whose own interface it is part of.
COMES_WITH = {"httpx2": "openai", "numpy": "scikit-learn", "pydantic_core": "pydantic", "scipy": "scikit-learn"}

# Shipped for users who have these anyway: their test tools.
FOR_TESTS = {"hypothesis", "pytest"}


def declared(*extras: str) -> set[str]:
    project = pyproject()["project"]
    wanted = [*project["dependencies"], *(w for extra in extras for w in project["optional-dependencies"][extra])]
    return {re.split(r"[\s\[<>=!~;]", requirement)[0].lower() for requirement in wanted}


def imported(sources: Iterable[Module]) -> set[str]:
    """The distributions that the modules import, the standard library and our own left out."""
    names = {i.library for module in sources for i in module.imports()}
    third_party = names - set(sys.stdlib_module_names) - {"interlock"}
    return {COMES_WITH.get(name, DISTRIBUTIONS.get(name, name)) for name in third_party}


def test_every_imported_library_is_declared():
    """In the dependencies or in an extra; a test tool only in `testing`."""
    product = [module for module in modules() if module.folder != "testing"]
    extras = [extra for extra in pyproject()["project"]["optional-dependencies"] if extra not in {"test", "bench"}]
    assert imported(product) - declared(*extras) == set()
    assert imported(modules()) - declared(*extras) - FOR_TESTS == set()


def test_every_declared_library_is_imported():
    """A dependency that nothing imports is not worth its download."""
    assert declared() - imported(modules()) == set()


def test_an_undeclared_and_a_dead_library_would_be_seen():
    """The control: an import is found wherever it stands, and written as its distribution."""
    source = Module("fsm/a.py", "import os, yaml\ndef f():\n    from left_pad.core import pad\n    from . import b")
    assert imported([source]) == {"pyyaml", "left_pad"}
