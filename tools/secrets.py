"""Secrets of a run: values that single commands in a desktop get as environment, and nobody else.

Values come from the environment or a file of whoever runs, each time anew; a thread keeps names.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import SecretStr

from tools.errors import UsageError
from tools.inside.redaction import NAMES, SHORTEST

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")

RESERVED = re.compile(r"SENTIENT_.*|ONCE_.*|PATH|HOME|LD_.*|PYTHON.*|BASH_ENV|ENV|IFS")
"""Variables by which commands are run."""

UNKEPT = re.compile("[\0\ud800-\udfff]")

LIMIT = 16_384
"""Characters of a value."""


def read_secrets(given: Iterable[str], environment: Mapping[str, str]) -> dict[str, SecretStr]:
    """Secrets by name, from `NAME`, `NAME=VARIABLE` (another variable's value) or `NAME=@FILE`.

    Raises:
        UsageError: a name or a value cannot be used, or there is none.
    """
    found = {}
    for item in given:
        name, _, source = item.strip().partition("=")
        if not NAME.fullmatch(name) or RESERVED.fullmatch(name):
            raise UsageError(f"{name!r} cannot be the name of a secret: it has to be a variable's")
        found[name] = SecretStr(_checked(name, _value(name, source or name, environment)))
    return found


def _value(name: str, source: str, environment: Mapping[str, str]) -> str:
    if not source.startswith("@"):
        if source not in environment:
            hint = f"export {source}, or write {name}=VARIABLE or {name}=@FILE"
            raise UsageError(f"secret {name}: the variable {source} is not set", hint=hint)
        return environment[source]
    try:
        return Path(source[1:]).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"secret {name}: cannot read {source[1:]}: {error}") from error


def _checked(name: str, value: str) -> str:
    if not SHORTEST <= len(value) <= LIMIT:
        raise UsageError(
            f"secret {name} has {len(value)} characters, not {SHORTEST} to {LIMIT}",
            hint="a shorter value cannot be told from other text, so it could not be withheld",
        )
    if UNKEPT.search(value):
        raise UsageError(f"secret {name} is no UTF-8 text without zero bytes")
    return value


def environment_of(names: Iterable[str], secrets: Mapping[str, SecretStr]) -> dict[str, str]:
    """The variables of a command that gets the secrets of these names.

    Raises:
        UsageError: this process does not have one of them.
    """
    names = list(names)
    missing = [name for name in names if name not in secrets]
    if missing:
        again = " ".join(f"--secret {name}" for name in missing)
        raise UsageError(
            f"the thread was started with secret {', '.join(missing)}, which no thread keeps",
            hint=f"give it again: {again}, or SENTIENT_SECRETS={','.join(missing)}",
        )
    values = {name: secrets[name].get_secret_value() for name in names}
    return {**values, NAMES: ",".join(names)} if values else {}
