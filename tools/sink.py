"""The one sink: what comes from a desktop, or goes to a model, state, a database or a reader.

It withholds the secrets of a run and this process's own credentials, also in common encodings
(`tools/inside/redaction.py`). Code that has a secret can still write it down in ways that nobody
recognises.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, SecretStr

from tools.errors import UsageError
from tools.inside.redaction import SHORTEST, Redactor, Stream
from tools.settings import Settings

T = TypeVar("T")

PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@|https?://([^/\s:@]+)@|[?&]password=([^&\s]+)")
"""What addresses hold: the password, or a token in its place."""


class TextStream(Protocol):
    """Text in pieces: what `feed` and `end` return may be told."""

    def feed(self, piece: str) -> str:
        """What can be told of all that came."""
        ...

    def end(self) -> str:
        """The rest."""
        ...


class Sink:
    """Replaces secrets, given as name and value, by `[secret:NAME]`."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._redactor: Any = Redactor(secrets)  # type: ignore[no-untyped-call]

    @classmethod
    def of(cls, settings: Settings) -> "Sink":
        """The sink of a process with these settings."""
        own = {name: value for name, value in _credentials(settings) if _is_told_apart(value)}
        given = {name: value.get_secret_value() for name, value in settings.secrets.items()}
        return cls({**own, **given})

    def __bool__(self) -> bool:
        return bool(self._redactor)

    def text(self, text: str) -> str:
        """The text without secrets."""
        return str(self._redactor(text)) if self._redactor else text

    def data(self, value: T) -> T:
        """Plain data, messages and other models without secrets; anything else as it is."""
        return self._data(value) if self._redactor else value

    def _data(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case bytes():
                text = value.decode("utf-8", "surrogateescape")
                shown = self.text(text)
                return value if shown == text else shown.encode("utf-8", "surrogateescape")
            case dict():
                return {self._data(key): self._data(item) for key, item in value.items()}
            case list():
                return [self._data(item) for item in value]
            case tuple() if type(value) is tuple:
                return tuple(self._data(item) for item in value)
            case BaseModel():
                fields = {name: self._data(item) for name, item in vars(value).items()}
                changed = {name: new for name, new in fields.items() if new != getattr(value, name)}
                return value.model_copy(update=changed) if changed else value
            case _:
                return value

    def named(self, value: object) -> list[str]:
        """The names of the secrets that plain data holds."""
        return sorted({name for text in _texts(value) for name in self._redactor.named(text)})

    def refuse(self, given: object) -> None:
        """Raise for what a person wrote, and would be kept as it is, if it holds a secret.

        Raises:
            UsageError: it does.
        """
        if held := self.named(given):
            raise UsageError(
                f"the input holds the value of secret {', '.join(held)}",
                hint="write the variable's name instead: commands have it in their environment",
            )

    def stream(self) -> TextStream:
        """A sink for text that comes in pieces."""
        stream: TextStream = Stream(self._redactor)  # type: ignore[no-untyped-call]
        return stream

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Let errors out without secrets, those behind them too: they are printed and stored."""
        try:
            yield
        except BaseException as error:
            self._cleanse(error)
            raise

    def _cleanse(self, error: BaseException) -> None:
        seen: set[int] = set()
        behind: BaseException | None = error
        while behind is not None and id(behind) not in seen:
            seen.add(id(behind))
            behind.args = self.data(behind.args)
            for name, value in vars(behind).items():
                if isinstance(value, str | dict):
                    setattr(behind, name, self.data(value))
            behind = behind.__cause__ or behind.__context__


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case bytes():
            yield value.decode("utf-8", "surrogateescape")
        case dict():
            for pair in value.items():
                yield from _texts(pair)
        case list() | tuple():
            for item in value:
                yield from _texts(item)
        case BaseModel():
            yield from _texts(vars(value))


def _credentials(settings: Settings) -> Iterator[tuple[str, str]]:
    """What the settings hold that is secret, by name; of an address, the password."""
    for field in type(settings).model_fields:
        held = getattr(settings, field)
        if isinstance(held, SecretStr):
            value = held.get_secret_value()
            if "://" not in value:
                yield field.upper(), value
            for number, found in enumerate(PASSWORD.finditer(value)):
                yield (
                    f"{field.upper()}_PASSWORD{number or ''}",
                    unquote(found[found.lastindex or 0]),
                )


def _is_told_apart(value: str) -> bool:
    """Whether a credential is more than a word that texts may hold, as `postgres`."""
    return len(value) >= SHORTEST and not value.isalpha()
