"""Compile the two C programs, the load generator and the publisher."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "native"
FLAGS = ("-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra")
_SHARED = ("histogram.c", "support.c")
_PROGRAMS = {
    "loadgen": ("loadgen.c", "run.c", "client.c", "tally.c", "websocket.c", "sha1.c", *_SHARED),
    "publisher": ("publisher.c", "post.c", *_SHARED),
}


class BuildError(Exception):
    """The C programs could not be compiled; the message says why."""


@dataclass(frozen=True)
class NativeTools:
    """Where the compiled programs are."""

    loadgen: Path
    publisher: Path


def build(folder: Path) -> NativeTools:
    """Compile both programs into `folder` (about a second).

    Raises:
        BuildError: there is no C compiler, or it refuses.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise BuildError("the benchmarks need a C compiler (cc), e.g. `apt install gcc libc6-dev`")
    folder.mkdir(parents=True, exist_ok=True)
    for name, sources in _PROGRAMS.items():
        _compile(compiler, [SOURCES / source for source in sources], folder / name)
    return NativeTools(folder / "loadgen", folder / "publisher")


def _compile(compiler: str, sources: list[Path], program: Path) -> None:
    command = [compiler, *FLAGS, "-o", str(program), *map(str, sources)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BuildError(f"compiling {program.name} failed:\n{result.stderr.strip()}")
