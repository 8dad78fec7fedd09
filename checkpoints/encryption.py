"""How checkpoint values become bytes, and whether a key fits the database they are in."""

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpoints.errors import SaverError

WITNESS = "sentient"
"""What an encrypted database holds under its key, so that another key is noticed at once."""


def serializer(key: bytes | None) -> SerializerProtocol:
    """Plain data and messages as msgpack, encrypted with AES-EAX when there is a key.

    Strict: any other type is neither written nor constructed from stored bytes. Values that were
    stored before there was a key can be read with one.
    """
    plain = JsonPlusSerializer(allowed_msgpack_modules=None)
    return EncryptedSerializer.from_pycryptodome_aes(plain, key=key) if key else plain


def check_key(serde: SerializerProtocol, witness: tuple[str, bytes] | None) -> None:
    """Compare a serializer with the witness of a database; None is one that was never encrypted.

    Raises:
        SaverError: the key is wrong or missing.
    """
    if witness is None:
        return
    if not isinstance(serde, EncryptedSerializer):
        raise SaverError("the checkpoints are encrypted", "set LANGGRAPH_AES_KEY to their key")
    try:
        serde.loads_typed(witness)
    except ValueError as error:  # the tag does not fit
        raise SaverError(
            "the checkpoints are encrypted with another key than LANGGRAPH_AES_KEY",
            "set it to the key they were written with",
        ) from error
