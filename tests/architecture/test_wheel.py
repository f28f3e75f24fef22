"""What a user installs: every module of the package with its data, and nothing else."""

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import interlock
from support.source_tree import ROOT, modules, package_folders, pyproject

DATA_ENDINGS = (".yaml", ".json", ".typed", ".pyi", ".ini", ".mako")


def expected_names() -> set[str]:
    """The package's files as they lie in the source, under the import name."""
    folders = [file for folder in package_folders() for file in folder.rglob("*") if file.suffix in DATA_ENDINGS]
    data = [*folders, *(file for file in ROOT.iterdir() if file.suffix in {".typed", ".pyi"})]
    python = {f"interlock/{module.path}" for module in modules()}
    return python | {f"interlock/{file.relative_to(ROOT).as_posix()}" for file in data}


def copy_of_the_source(target: Path) -> Path:
    """The root without what git ignores: building here would leave `build/` in everybody's way."""
    left_out = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    return Path(shutil.copytree(ROOT, target, ignore=left_out))


def names_in_the_wheel(source: Path, target: Path) -> set[str]:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = target.glob("interlock-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_every_module_and_nothing_else(tmp_path: Path):
    """No test, benchmark or page gets in; no new folder is forgotten in the list of packages."""
    source = copy_of_the_source(tmp_path / "source of it")
    (source / "tests" / "stray.py").write_text("")
    (source / "examples" / "stray.bin").write_text("")
    found, expected = names_in_the_wheel(source, tmp_path / "wheel"), expected_names()
    assert (sorted(expected - found), sorted(found - expected)) == ([], []), "(missing, not ours)"


def test_every_folder_with_code_is_listed_as_a_package():
    """The list in pyproject.toml is what an installed copy holds."""
    listed = pyproject()["tool"]["setuptools"]["packages"]
    assert {module.package for module in modules()} == set(listed)
    assert listed == sorted(set(listed))


@pytest.mark.parametrize(
    "folder", ["agents", "cli", "contracts", "examples", "fsm", "persistence", "service", "testing"]
)
def test_the_folders_of_the_layout_are_packages(folder: str):
    """The layout of the design, from the root."""
    assert ROOT / folder in package_folders()
    assert (ROOT / folder / "__init__.py").is_file()


def test_the_version_is_said_once():
    """pyproject.toml and `interlock.__version__` agree."""
    assert interlock.__version__ == pyproject()["project"]["version"]


def test_the_command_is_installed():
    """`interlock` on the command line is a function that exists."""
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="interlock")
    assert command.value == "interlock.cli.main:main"
    assert importlib.util.find_spec("interlock.cli.main") is not None, "cli/main.py is missing"
    assert callable(command.load())
