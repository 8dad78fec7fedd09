"""The languages of contexts: which program runs each, and how a request is written for it."""

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sentient_desktop.errors import ApiError

_ALIASES = {"js": "javascript", "ts": "typescript", "py": "python", "sh": "bash"}
_KERNELS = "/opt/desktop/kernels"

Variables = Mapping[str, str]
Encode = Callable[[str, int, Variables, Variables], bytes]
"""(code, number of the execution, its own variables, the desktop's variables) to bytes."""


@dataclass(frozen=True)
class Language:
    """How contexts of a language are run."""

    name: str
    argv: tuple[str, ...]
    encode: Encode
    hint: str
    """What to do when its program is not there."""


def _encode_json(code: str, number: int, own: Variables, _desktop: Variables) -> bytes:
    return json.dumps({"code": code, "env": dict(own), "number": number}).encode() + b"\n"


def _encode_shell(code: str, _number: int, own: Variables, desktop: Variables) -> bytes:
    """Write the three texts of the bash kernel; afterwards variables are the desktop's again."""
    before = [f"export {name}={shlex.quote(value)}" for name, value in own.items()]
    after = [
        f"export {name}={shlex.quote(desktop[name])}" if name in desktop else f"unset {name}"
        for name in own
    ]
    texts = ("\n".join(before), code.replace("\0", ""), "\n".join(after))
    return b"".join(text.encode() + b"\0" for text in texts)


LANGUAGES = {
    language.name: language
    for language in (
        Language(
            "python",
            ("/opt/desktop/bin/python", f"{_KERNELS}/python_kernel.py"),
            _encode_json,
            "Python contexts need ipykernel, which the templates code-interpreter-v1 and data have",
        ),
        Language(
            "javascript",
            ("node", f"{_KERNELS}/node_kernel.js"),
            _encode_json,
            "JavaScript contexts need Node in /usr/bin of the machine the server runs on",
        ),
        Language(
            "bash", ("bash", "--norc", f"{_KERNELS}/bash_kernel.sh"), _encode_shell, "install bash"
        ),
    )
}


def find_language(name: str | None) -> Language:
    """Find a language by name or alias; none means Python.

    Raises:
        ApiError: 501 naming the ones there are.
    """
    key = (name or "python").lower().strip()
    key = _ALIASES.get(key, key)
    if key not in LANGUAGES:
        known = ", ".join(sorted(LANGUAGES))
        text = f"contexts in '{name}' are not offered by this server (offered: {known})"
        raise ApiError(501, text, retryable=False)
    return LANGUAGES[key]
