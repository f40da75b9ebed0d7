"""Which file systems a log may lie on: SQLite's WAL needs memory shared by all who have the file open."""

from __future__ import annotations

from pathlib import Path

from runcast.errors import LogError

NETWORK_TYPES = frozenset(
    {"9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
)
NETWORK_FUSE = ("fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs")


def refuse_network(path: Path, mounts: Path = Path("/proc/self/mounts")) -> None:
    """Refuse a log on a network mount, where Linux can tell; elsewhere do nothing.

    Raises:
        LogError: `path` lies on one. Says why, and what to do.
    """
    found = file_system(path, mounts)
    if found in NETWORK_TYPES or found.startswith(NETWORK_FUSE):
        raise LogError(
            f"{path} lies on a network mount ({found}). SQLite's write-ahead log needs shared memory and true "
            "locks, which such a mount has not: events would be lost. Put the log on a local disk."
        )


def file_system(path: Path, mounts: Path) -> str:
    """The type of the file system that `path` lies on, by the table `mounts`; empty if that cannot be read."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    target, best, kind = path.resolve(), -1, ""
    for fields in (line.split(" ") for line in lines):
        point = Path(_unescaped(fields[1]))
        # Of two mounts on one point the later one is seen.
        if len(point.parts) >= best and target.is_relative_to(point):
            best, kind = len(point.parts), fields[2]
    return kind


def _unescaped(field: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field
