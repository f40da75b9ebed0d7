"""What a measurement was made on: machine, disk, kernel, versions."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from importlib import metadata
from pathlib import Path

_LIBRARIES = ("runcast", "uvicorn", "uvloop", "httptools", "websockets", "fastapi", "starlette", "msgspec")
_MEMORY_FILESYSTEMS = {"tmpfs", "ramfs"}


def describe(folder: Path) -> dict[str, str]:
    """Facts about this machine, with the file system that `folder` lies on."""
    return {
        "cpu": f"{_cpu_model()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load before": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "disk": f"{filesystem_type(folder)}, fdatasync of 4 KiB: {_sync_times(folder)}",
        "python": f"{platform.python_version()}, sqlite {sqlite3.sqlite_version}",
        "libraries": ", ".join(_versions()),
    }


def filesystem_type(folder: Path) -> str:
    """The type of the file system that holds `folder`: ext4, tmpfs, …"""
    best, found = "", "unknown"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, behind = line.partition(" - ")
        mount = fields.split()[4].replace("\\040", " ")
        inside = folder.resolve().is_relative_to(mount)
        if inside and len(mount) >= len(best):
            best, found = mount, behind.split()[0]
    return found


def lies_in_memory(folder: Path) -> bool:
    """Whether `folder` is on no disk at all, so that durability there means nothing."""
    return filesystem_type(folder) in _MEMORY_FILESYSTEMS


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown CPU"


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _versions() -> list[str]:
    found: list[str] = []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def _sync_times(folder: Path, rounds: int = 50) -> str:
    """What the disk itself costs: the floor of every durable append."""
    path = folder / "sync-probe"
    times: list[float] = []
    handle = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for _ in range(rounds):
            os.write(handle, bytes(4096))
            began = time.perf_counter()
            os.fdatasync(handle)
            times.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(handle)
        path.unlink()
    times.sort()
    return f"p50 {times[rounds // 2]:.2f} ms, max {times[-1]:.2f} ms"
