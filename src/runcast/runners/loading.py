"""Modules of a user's own: importing them registers the workflows, steps and processors in them."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterable
from pathlib import Path

from runcast.errors import ConfigError

logger = logging.getLogger("runcast.runners")


def load_modules(names: Iterable[str]) -> None:
    """Import modules by their dotted names; those of the working directory are found, too. Again it does nothing.

    Raises:
        ConfigError: there is no such module, or it fails when it is imported (the log has the traceback).
    """
    for name in names:
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name and not name.startswith(f"{error.name}."):
                raise ConfigError(
                    f"load: {name} needs the module {error.name}, which is not installed."
                ) from None
            raise ConfigError(
                f"load: there is no module {name}. Name it as Python does (flows, not flows.py), "
                "and start in its folder."
            ) from None
        except Exception as error:  # whatever a user's module raises ends the start, in one line
            logger.debug("importing %s failed", name, exc_info=True)
            raise ConfigError(f"load: {name} cannot be imported ({type(error).__name__}: {error}).") from None
