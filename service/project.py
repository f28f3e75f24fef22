"""Finding a flow and its code: from a file, a folder, a package, or a Python object.

Reading a flow file never runs code. Loading a *project* imports the code that the flow names, and only
from the flow's own folder or package: load projects that you would run.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

from ..agents.classifier import LinearTable
from ..contracts.agents import Agent
from ..contracts.canonical import sha256_hex
from ..contracts.errors import FlowError, SetupError
from ..contracts.flow import Flow
from ..contracts.routing import Classifier
from ..contracts.values import listed
from ..fsm.code import Code, Subflow
from ..fsm.load import LoadedFlow, artefact_files_of, read_flow, subflow_files_of
from ..fsm.program import Program, compiled

BUILT_IN = {"bank": "interlock.examples.bank"}
PATTERNS = "patterns/"
"""Before the name of a pattern that comes with the package: `patterns/router`."""
_FILES = (".yaml", ".yml", ".py", ".json")


@dataclass(frozen=True)
class Project:
    """A flow ready to run, where it came from, and its script for running without a model, if it has one."""

    program: Program
    source: str
    lines: dict[str, int] = field(default_factory=dict)
    scripted: Callable[[], Agent] | None = None
    file: str = ""
    code_digest: str = ""
    """SHA-256 of the Python files that the flow and those it contains name; empty where it is not known."""


def load_project(spec: str) -> Project:
    """The project that `spec` names: `bank`, `patterns/router`, `path/to/flow.yaml`, `path/to/folder`, `package`, or
    `module:attribute`.

    Raises `SetupError` where nothing is found there, `FlowError` with every fault of the flow.
    """
    name = spec if (Path(spec) / "flow.yaml").is_file() else BUILT_IN.get(spec, spec)
    if name.startswith(PATTERNS) and not Path(name).exists():
        return _pattern(name.removeprefix(PATTERNS))
    module, colon, attribute = name.partition(":")
    if colon and not Path(name).exists():
        return _from_object(module, attribute)
    path = Path(name)
    if path.is_dir():
        path = path / "flow.yaml"
    if path.is_file():
        return _from_file(path, str(path.resolve()))
    if path.suffix in _FILES or not all(part.isidentifier() for part in name.split(".")):
        raise SetupError(f"There is no flow at {name!r}.", fix="Give a flow.yaml, its folder, a package, or `bank`.")
    return _from_package(name)


def _pattern(name: str) -> Project:
    """One of the patterns that come with the package."""
    folder = Path(_imported("interlock.examples.patterns").__file__ or "").parent
    # A file without a module of its name is a part of another pattern.
    known = sorted(file.stem for file in folder.glob("*.yaml") if file.with_suffix(".py").is_file())
    if name not in known:
        raise SetupError(f"There is no pattern {name!r}.", fix=f"The patterns are {listed(known)}.")
    source = f"{PATTERNS}{name}"
    code = _imported(f"interlock.examples.patterns.{name}")
    return _project(folder / f"{name}.yaml", source, code, None, _Beside(package="interlock.examples.patterns"))


def _from_package(name: str) -> Project:
    package = _imported(name)
    folder = Path(package.__file__ or "").parent
    if not (folder / "flow.yaml").is_file():
        raise SetupError(
            f"The package {name!r} holds no flow.yaml.",
            where=str(folder),
            fix="Put the flow beside its `__init__.py`, or name an object as `module:attribute`.",
        )
    code = _imported(f"{name}.code") if (folder / "code.py").is_file() else None
    script = _imported(f"{name}.scripted") if (folder / "scripted.py").is_file() else None
    return _project(folder / "flow.yaml", name, code, script, _Beside(package=name))


def _from_file(path: Path, source: str) -> Project:
    folder = path.resolve().parent
    beside = _Beside()
    code = beside.code_of(path)
    script = _module_at(folder, "scripted.py") if (folder / "scripted.py").is_file() else None
    return _project(path, source, code, script, beside)


@dataclass(frozen=True)
class _Beside:
    """What lies beside a flow: code, imported once however many flows name it, and the flows that it contains.

    `above` are the files of the flows that contain this one, the outermost first.
    """

    package: str = ""
    modules: dict[Path, ModuleType] = field(default_factory=dict)
    above: tuple[Path, ...] = ()

    def code_of(self, path: Path) -> ModuleType | None:
        """The code that the flow file names under `code:`."""
        named, folder = _code_named_in(path), path.resolve().parent
        if not named:
            return None
        target = (folder / named).resolve()
        if target not in self.modules:
            inside = self.package and "/" not in named and named.endswith(".py")
            module = f"{self.package}.{named.removesuffix('.py')}"
            self.modules[target] = _imported(module) if inside else _module_at(folder, named)
        return self.modules[target]

    def subflows_of(self, path: Path) -> dict[str, Subflow]:
        """The flows that the file names under `subflows:`, each with its own code and subflows.

        What is not there is left out: reading the flow says so, with its line. Raises `FlowError` for a flow that
        contains itself.
        """
        target = path.resolve()
        if target in self.above:
            names = (*(one.name for one in self.above[self.above.index(target) :]), target.name)
            raise FlowError(
                f"The flow {target.name!r} contains itself: {' → '.join(names)}.",
                where=str(path),
                fix="Take it out of `subflows` in one of these files: a conversation in it would never end.",
            )
        inner = replace(self, above=(*self.above, target))
        found: dict[str, Subflow] = {}
        for name, file in subflow_files_of(_bytes_of(path)).items():
            child = target.parent / file
            if child.is_file() and target.parent in child.resolve().parents:
                program = _project(child, str(child), inner.code_of(child), None, inner).program
                found[name] = Subflow(program.flow, program.code)
        return found


def _code_named_in(path: Path) -> str:
    """The `code:` line of a flow file, found without judging the rest of the file."""
    for line in path.read_bytes().decode("utf-8", "replace").splitlines():
        if line.startswith("code:"):
            return line.partition(":")[2].partition("#")[0].strip().strip("\"'")
    return ""


def _module_at(folder: Path, relative: str) -> ModuleType:
    target = (folder / relative).resolve()
    if folder not in target.parents or not target.is_file():
        raise SetupError(
            f"The flow's code {relative!r} is not a file in the flow's folder.",
            where=str(folder),
            fix="Put the code beside the flow and name it, as in `code: code.py`.",
        )
    name = f"interlock_project_{abs(hash(str(target)))}_{target.stem}"
    spec = importlib.util.spec_from_file_location(name, target)
    if spec is None or spec.loader is None:
        raise SetupError(f"{target.name!r} is no Python file.", where=str(target), fix="Name a `.py` file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise SetupError(
            f"The flow's code stopped with {type(error).__name__}: {error}",
            where=str(target),
            fix="Mend it, or try `python " + target.name + "` for the full traceback.",
        ) from error
    finally:
        sys.path.remove(str(folder))
    return module


def _project(path: Path, source: str, code: ModuleType | None, script: ModuleType | None, beside: _Beside) -> Project:
    named = getattr(code, "code", None) if code else Code()
    if not isinstance(named, Code):
        raise SetupError(
            "The flow's code defines no `code = Code.of(...)`.",
            where=str(path),
            fix="Gather guards, tools and contracts in a value called `code`.",
        )
    named = replace(named, subflows={**named.subflows, **beside.subflows_of(path)})
    named = replace(named, classifiers={**named.classifiers, **_classifiers_beside(path, named)})
    loaded = read_file(path, named)
    scripted = getattr(script, "scripted", None) or getattr(code, "scripted", None)
    digest = _digest_of(code, *beside.modules.values())
    return Project(compiled(loaded.flow, named), source, dict(loaded.lines), scripted, str(path), digest)


def _digest_of(*modules: ModuleType | None) -> str:
    files = {Path(one.__file__) for one in modules if one is not None and one.__file__}
    found = [sha256_hex(file.read_bytes()) for file in sorted(files) if file.is_file()]
    return sha256_hex("\n".join(found).encode()) if found else ""


def read_file(path: Path, code: Code, folder: Path | None = None) -> LoadedFlow:
    """The flow in a file. Artefacts are read from the same folder only, or from `folder`."""
    beside = folder / path.name if folder is not None else path
    return read_flow(_bytes_of(path), code, file=str(path), folder_reader=lambda name: _artefact(beside, name))


def _artefact(path: Path, name: str) -> bytes:
    """The bytes of a file that a flow names. Raises `OSError` where it is not there, or not in the flow's folder."""
    folder = path.resolve().parent
    target = (folder / name).resolve()
    if folder not in target.parents:
        raise FileNotFoundError(name)
    return target.read_bytes()


def _classifiers_beside(path: Path, code: Code) -> dict[str, Classifier]:
    """Trained tables that the flow names by file and its code does not hold, by digest.

    What is not there, or is of another kind (vectors need an embedder, so the code has to load them), is left
    out: reading the flow says so, with its line.
    """
    found: dict[str, Classifier] = {}
    for name in artefact_files_of(_bytes_of(path)):
        try:
            data = _artefact(path, name)
            if sha256_hex(data) not in code.classifiers:
                table = LinearTable.from_bytes(data, where=name)
                found[table.digest] = table
        except (OSError, ValueError, FlowError):
            continue
    return found


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupError(
            f"The flow cannot be read: {error.strerror}.", where=str(path), fix="Check the path and its permissions."
        ) from error


def _from_object(module: str, attribute: str) -> Project:
    found = getattr(_imported(module), attribute, None)
    source = f"{module}:{attribute}"
    if isinstance(found, Project):
        return found
    if isinstance(found, Program):
        return Project(found, source, code_digest=_digest_of(_imported(module)))
    if isinstance(found, Flow):
        code = getattr(_imported(module), "code", Code())
        scripted = getattr(_imported(module), "scripted", None)
        return Project(compiled(found, code), source, scripted=scripted, code_digest=_digest_of(_imported(module)))
    raise SetupError(
        f"{source} is {type(found).__name__}, not a Flow, Program or Project.",
        fix="Name a module-level flow, as in `my_flows:refunds`.",
    )


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SetupError(
            f"There is no flow, file or package called {name!r}.",
            fix="Give a flow.yaml, its folder, an installed package, or `bank`.",
        ) from error
