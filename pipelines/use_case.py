"""A use case is a folder: settings as TOML, features as SQL. Nothing in it is code."""

from __future__ import annotations

import tomllib
from pathlib import Path

from dalsegno.errors import ConfigurationError

SETTINGS = "settings.toml"
FEATURES = "features.sql"


def load_use_case(folder: Path) -> dict[str, object]:
    """Read the values of pipeline parameters by name; `sql` is the text of `features.sql`.

    Args:
        folder: Holds `settings.toml`, a flat table of values, and `features.sql`.

    Raises:
        ConfigurationError: A file is missing or unreadable, or the settings give `sql` too.
    """
    try:
        settings: dict[str, object] = tomllib.loads(_read(folder, SETTINGS))
    except tomllib.TOMLDecodeError as error:
        path = folder / SETTINGS
        raise ConfigurationError(f"{path}: got {error}, want a TOML file") from error
    if "sql" in settings:
        raise ConfigurationError(f"{folder / SETTINGS}: got 'sql', want it in {FEATURES}")
    return {**settings, "sql": _read(folder, FEATURES)}


def _read(folder: Path, name: str) -> str:
    path = folder / name
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise ConfigurationError(
                f"use case {folder}: got no folder, want one with {SETTINGS} and {FEATURES}"
            ) from error
        got = sorted(entry.name for entry in folder.iterdir())
        raise ConfigurationError(
            f"use case {folder}: got {got}, want {name!r} among them"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: got {error}, want a UTF-8 text file") from error
