"""Bytes that do not fit their layout, told as `ValueError` whatever it is that trips over them."""

import functools
import struct
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import zstandard

TRIPS = (IndexError, KeyError, struct.error, zstandard.ZstdError)
"""What reading beyond the end, or an unknown number where a known one is due, raises by itself."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def refusing(read: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """``read`` with `TRIPS` turned into `ValueError`; not for generators, whose errors come later."""

    @functools.wraps(read)
    def checked(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return read(*args, **kwargs)
        except TRIPS as error:
            raise ValueError(f"the bytes of an event do not fit its layout: {error}") from error

    return checked
