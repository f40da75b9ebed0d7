"""Importing quickly, for a process that takes in a single event and ends: it saves half of the time.

Of msgspec, parts are only there to describe types, and `typing_extensions`, which it takes where it can, brings
nothing that this version of Python has not itself. So both are kept out while it is imported. If a version of
msgspec cannot be imported so, it is imported as usual.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, cast

_UNUSED = ("msgspec.inspect", "msgspec._json_schema", "msgspec.toml", "msgspec.yaml")


def import_lean() -> None:
    """Import msgspec; does nothing if it is there already. Only for a process that ends soon."""
    if "msgspec" in sys.modules:
        return
    kept_out = _keep_out()
    try:
        import msgspec
    except (ImportError, AttributeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "msgspec"]:
            del sys.modules[name]
    else:
        del msgspec
    finally:
        for name in kept_out:
            sys.modules.pop(name, None)


def _keep_out() -> list[str]:
    modules = cast("dict[str, Any]", sys.modules)
    for name in _UNUSED:
        modules[name] = module = ModuleType(name)
        vars(module).update(schema=None, schema_components=None)
    if "typing_extensions" in modules:
        return list(_UNUSED)
    modules["typing_extensions"] = None  # an import of it fails, as if it were not installed
    return [*_UNUSED, "typing_extensions"]
