"""Reading fields of JSON messages by type: what has the wrong one is refused by name.

As in protobuf's JSON form, null means absent and a number may be written as text.
"""

from typing import Any

from sentient_desktop.errors import RpcError
from sentient_desktop.rpc.codec import Message

MAX_NUMBER = (1 << 32) - 1
"""The protocol's numbers are uint32."""


def _wrong(key: str, kind: str) -> RpcError:
    return RpcError("invalid_argument", f"{key} must be {kind}")


def parse_decimal(text: str, digits: int = 10) -> int | None:
    """Read a short run of plain digits; None for anything else, int()'s other alphabets included.

    The bound on ``digits`` keeps clear of int()'s own refusal of very long numbers.
    """
    plain = text.isascii() and text.isdigit() and len(text) <= digits
    return int(text) if plain else None


def read_text(message: Message, key: str) -> str | None:
    """Read a text; None when absent.

    Raises:
        RpcError: ``invalid_argument`` for another type or a null byte.
    """
    value = message.get(key)
    if value is not None and not isinstance(value, str):
        raise _wrong(key, "a text")
    if value is not None and "\0" in value:
        raise RpcError("invalid_argument", f"{key} contains a null byte")
    return value


def read_number(message: Message, key: str) -> int | None:
    """Read a number from 0 to 2**32 - 1; None when absent.

    Raises:
        RpcError: ``invalid_argument``.
    """
    value: Any = message.get(key)
    if isinstance(value, str):
        value = parse_decimal(value)
    elif value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
        raise _wrong(key, f"a number from 0 to {MAX_NUMBER}")
    return value


def read_flag(message: Message, key: str, *, default: bool) -> bool:
    """Read a boolean.

    Raises:
        RpcError: ``invalid_argument``.
    """
    value = message.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _wrong(key, "true or false")
    return value


def read_object(message: Message, key: str) -> Message | None:
    """Read an object; None when absent.

    Raises:
        RpcError: ``invalid_argument``.
    """
    value = message.get(key)
    if value is not None and not isinstance(value, dict):
        raise _wrong(key, "an object")
    return value


def read_texts(message: Message, key: str) -> list[str]:
    """Read a list of texts; absent means empty.

    Raises:
        RpcError: ``invalid_argument``.
    """
    value = message.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(key, "a list of texts")
    return list(value)


def read_text_map(message: Message, key: str) -> dict[str, str]:
    """Read an object whose values are texts; absent means empty.

    Raises:
        RpcError: ``invalid_argument``.
    """
    value = read_object(message, key) or {}
    if not all(isinstance(item, str) for item in value.values()):
        raise _wrong(key, "an object of texts")
    return dict(value)
