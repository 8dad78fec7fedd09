"""Who may call envd: access tokens, signed file URLs, and the one user a desktop has.

Source: E2B envd, "Tokens and signatures" of the protocol notes. A wrong header token fails even
when a signature is right.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping

from starlette.datastructures import Headers

from sentient_desktop.errors import ApiError, RpcError
from sentient_desktop.rpc.fields import parse_decimal

_UNAUTHORIZED = (
    "unauthorized access, please provide a valid access token or method signing if supported"
)

USERS = frozenset({"", "user"})
"""Commands and files belong to ``user``; a desktop has no root to offer."""


def require_token(headers: Headers, token: str) -> None:
    """Demand the desktop's access token.

    Raises:
        ApiError: 401.
    """
    if not hmac.compare_digest(headers.get("x-access-token", "").encode(), token.encode()):
        raise ApiError(401, _UNAUTHORIZED)


def sign(path: str, operation: str, user: str, token: str, expiration: str = "") -> str:
    """Return the signature the SDKs compute for a file URL; ``operation`` is read or write."""
    parts = [path, operation, user, token] + ([expiration] if expiration else [])
    digest = hashlib.sha256(":".join(parts).encode()).digest()
    return "v1_" + base64.b64encode(digest).rstrip(b"=").decode()


def require_file_access(
    method: str, headers: Headers, query: Mapping[str, str], token: str
) -> None:
    """Demand the token header or a valid, unexpired signature.

    Raises:
        ApiError: 401 saying which of the two was wrong.
    """
    if given := headers.get("x-access-token"):
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise ApiError(401, "access token present in header but does not match")
        return
    signature = query.get("signature")
    if not signature:
        raise ApiError(401, "missing signature query parameter")
    expiration = query.get("signature_expiration", "")
    operation = "read" if method == "GET" else "write"
    wanted = sign(query.get("path", ""), operation, query.get("username", ""), token, expiration)
    if not hmac.compare_digest(signature.encode(), wanted.encode()):
        raise ApiError(401, "invalid signature")
    if expiration and (parse_decimal(expiration, 18) or 0) < time.time():
        raise ApiError(401, "signature is already expired")


def user_of(headers: Headers) -> str:
    """Read the user a client wants to act as from its Basic authorization; "" when unset.

    Raises:
        RpcError: ``unauthenticated`` for a user the desktop does not have.
    """
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    user = ""
    if scheme.lower() == "basic":
        try:
            user = base64.b64decode(encoded).decode().partition(":")[0]
        except ValueError:
            raise RpcError("unauthenticated", "the authorization header is malformed") from None
    if user not in USERS:
        raise RpcError("unauthenticated", refusal(user))
    return user


def refusal(user: str) -> str:
    """Explain why a user is refused."""
    return f"invalid user: '{user}' (an embedded desktop runs everything as 'user', never as root)"
