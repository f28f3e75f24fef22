"""The layout of c2sp.org/tlog-tiles: 256 hashes or entries a file. And where files go: a folder, or one zip file."""

import os
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ...contracts.errors import SetupError

WIDTH = 256
_AT = (1980, 1, 1, 0, 0, 0)
"""A zip file's own beginning of time: bundles say when in their entries."""


def tile_path(kind: str, number: int, width: int) -> str:
    """`tile/<level or entries>/<number in groups of three digits>`, with `.p/<width>` where it is not full."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03}")
    return f"tile/{kind}/{'/'.join(groups)}" + (f".p/{width}" if width < WIDTH else "")


def entry_tile(entries: Sequence[bytes]) -> bytes:
    """Each entry behind its length in two bytes."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


@contextmanager
def written_to(path: Path) -> Iterator[Callable[[str, bytes], None]]:
    """A function that puts files into a new folder, or into a new zip file if the name ends so. Raises `SetupError`.

    They stand under the name once all are written, and for their owner alone: they hold what people said.
    """
    if path.exists() and (path.is_file() or any(path.iterdir())):
        raise SetupError("There is something in this place.", where=str(path), fix="Name a new folder or zip file.")
    made = path.with_name(f".{path.name}.unfinished-{os.getpid()}")
    try:
        if path.suffix == ".zip":
            with _private(made) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                yield lambda name, data: _into(archive, name, data)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.mkdir(mode=0o700)
            yield lambda name, data: _below(made, name, data)
            if path.exists():
                path.rmdir()
        made.replace(path)
    except OSError as error:
        raise SetupError(
            f"The bundle cannot be written: {error.strerror}.", where=str(path), fix="Name a place that you may write."
        ) from error
    finally:
        if made.is_dir():
            shutil.rmtree(made)
        made.unlink(missing_ok=True)


def _private(file: Path) -> BinaryIO:
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _into(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _AT)
    info.create_system, info.external_attr = 3, 0o600 << 16
    archive.writestr(info, data)


def _below(folder: Path, name: str, data: bytes) -> None:
    file = folder / name
    for above in reversed(file.relative_to(folder).parents[:-1]):
        (folder / above).mkdir(mode=0o700, exist_ok=True)
    with _private(file) as opened:
        opened.write(data)
