"""The package's own source as data: its folders, its modules, and what each imports."""

import ast
import gc
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@cache
def pyproject() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


@cache
def package_folders() -> tuple[Path, ...]:
    """The top folders that are code of the package, from the list that the wheel is built from."""
    names = pyproject()["tool"]["setuptools"]["packages"]
    return tuple(sorted({ROOT / name.split(".")[1] for name in names if "." in name}))


@dataclass(frozen=True)
class Import:
    """One imported name, written out in full: `from ..contracts import flow` is `interlock.contracts.flow`."""

    name: str
    line: int
    relative: bool
    for_types_only: bool

    @property
    def library(self) -> str:
        return self.name.split(".")[0]


@dataclass(frozen=True)
class Module:
    """One source file: its path from the root, and its text."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return _parsed(self.text)

    @property
    def folder(self) -> str:
        return self.path.split("/")[0]

    @property
    def package(self) -> str:
        return ".".join(("interlock", *Path(self.path).parent.parts))

    def imports(self) -> tuple[Import, ...]:
        return tuple(_imports(self.tree, self.package, for_types_only=False))


@cache
def _parsed(text: str) -> ast.Module:
    # Until 3.11.8, Python counted the parser's depth in one place for the whole process: when the collector runs
    # something that parses too (a finaliser whose traceback is formatted), this failed with "AST constructor
    # recursion depth mismatch". https://github.com/python/cpython/issues/106905; delete it with 3.11.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        if collecting:
            gc.enable()


def _imports(node: ast.AST, package: str, *, for_types_only: bool) -> Iterator[Import]:
    match node:
        case ast.Import(names=names):
            for alias in names:
                yield Import(alias.name, node.lineno, False, for_types_only)
        case ast.ImportFrom(module=module, names=names, level=level):
            above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
            origin = ".".join([*above, *([module] if module else [])])
            for alias in names:
                yield Import(f"{origin}.{alias.name}", node.lineno, level > 0, for_types_only)
        case ast.If(test=test) if "TYPE_CHECKING" in ast.unparse(test):
            for inside in node.body:
                yield from _imports(inside, package, for_types_only=True)
            for outside in node.orelse:
                yield from _imports(outside, package, for_types_only=for_types_only)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _imports(child, package, for_types_only=for_types_only)


@cache
def modules() -> tuple[Module, ...]:
    """Every Python file of the package, the root's own included."""
    files = [*ROOT.glob("*.py"), *(file for folder in package_folders() for file in folder.rglob("*.py"))]
    return tuple(Module(file.relative_to(ROOT).as_posix(), file.read_text("utf-8")) for file in sorted(files))


@cache
def tracked_files() -> tuple[str, ...]:
    """What git holds; in an unpacked archive without git, every file outside hidden and built folders."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return tuple(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())
    skipped = {"build", "dist", "interlock.egg-info", "__pycache__"}
    files = (file.relative_to(ROOT) for file in ROOT.rglob("*") if file.is_file())
    return tuple(f.as_posix() for f in files if not any(p in skipped or p.startswith(".") for p in f.parts[:-1]))
