"""Writes docs/settings.md from the settings themselves: `python scripts/settings_page.py`."""

from pathlib import Path

from runcast.config import Settings, describe, env_names

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

HEAD = """# Settings

Each is read from the environment by `runcast serve` and `Settings.from_env`, or given by keyword to `Settings`.
Names end in their unit where they have one. A value that cannot be is refused at the start, by the variable's name.

| variable | default | what it is |
| --- | --- | --- |
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_row(field) for field in Settings.__struct_fields__)


def _row(field: str) -> str:
    names = ", ".join(f"`{name}`" for name in env_names(field))
    default = getattr(Settings(), field)
    shown = ",".join(default) if isinstance(default, tuple) else str(default)
    return f"| {names} | {f'`{shown}`' if shown else ''} | {describe(field)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
