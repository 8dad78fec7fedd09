"""Reading TOML that anybody may have written: what is not of the expected shape is not there."""

import tomllib
from typing import Any


def toml(text: str) -> dict[str, Any]:
    """A TOML document; an empty one when it is malformed."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def table(value: Any) -> dict[str, Any]:
    """A table, an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def entries(value: Any) -> list[dict[str, Any]]:
    """The tables of an array."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def words(value: Any) -> list[str]:
    """The strings of an array."""
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []
