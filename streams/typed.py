"""Keys as people type them, in the envelope's form: pure."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from changes.progress import KeyValue
from changes.schema import Column, Kind, TableSchema

_FRACTION = {Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP}


def typed_key(schema: TableSchema, key: Sequence[str], texts: Sequence[str]) -> list[KeyValue]:
    """The values of one key, a text for each of its columns; bytes are given as base64.

    Raises `ValueError` where they are none of such a key.
    """
    if len(texts) != len(key):
        raise ValueError(f"a key of `{schema.table}` has {len(key)} values ({', '.join(key)}), not {len(texts)}")
    return [_value(schema.column(name), text) for name, text in zip(key, texts, strict=True)]


def _value(column: Column, text: str) -> KeyValue:
    plain = text.strip()
    try:
        if column.kind is Kind.INTEGER:
            return int(plain)
        if column.kind is Kind.DOUBLE:
            return float(plain)
        if column.kind is Kind.DECIMAL:
            scale = column.arguments[1] if len(column.arguments) > 1 else 0
            return f"{Decimal(plain):.{scale}f}"
    except (ValueError, InvalidOperation) as error:
        raise ValueError(f"`{column.name}` is {column.type}, which `{text}` is not") from error
    if column.kind is Kind.BOOLEAN:
        return plain in {"1", "true"}
    if column.kind is Kind.DATE:
        return f"{plain.rstrip('Z')}Z"
    return f"{_fraction(column, plain.rstrip('Z').replace(' ', 'T'))}Z" if column.kind in _FRACTION else text


def _fraction(column: Column, text: str) -> str:
    """``text`` with as many digits behind the second as the column keeps."""
    digits = column.arguments[0] if column.arguments else 0
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction[:digits]:0<{digits}}" if digits else whole
