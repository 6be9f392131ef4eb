"""Values as more than one store's driver takes them; each refuses in the name of the store that asks."""

import base64
import binascii
from collections.abc import Callable

from changes.canonical import Value
from changes.errors import Rejected
from changes.schema import Column

Encode = Callable[[Column, Value], Value]


def unicode_text(store: str) -> Encode:
    """Text as it is; refused where it holds half of a surrogate pair, which no UTF-8 has."""

    def encode(column: Column, value: Value) -> Value:
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise Rejected(f"{store}: `{column.name}` is no Unicode text: {error}") from error
        return value

    return encode


def raw_bytes(store: str) -> Encode:
    """The envelope's base64 as bytes."""

    def encode(column: Column, value: Value) -> Value:
        if not isinstance(value, str):
            return value
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise Rejected(f"{store}: `{column.name}` is no base64: {error}") from error

    return encode
