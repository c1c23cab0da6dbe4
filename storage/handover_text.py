"""The one form of a hand-over as JSON: equal hand-overs have equal text, in record and database."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from storage.errors import TidenetError


class InvalidHandOverError(TidenetError):
    """A hand-over is not a JSON object, or holds what JSON does not know."""


def canonical_text(handover: str | Mapping[str, Any]) -> str:
    """Return a hand-over as JSON with sorted keys and without spaces.

    Parameters
    ----------
    handover
        JSON text of an object, or the object.

    Raises
    ------
    InvalidHandOverError
        If it is no JSON object, or a number in it is not finite.
    """
    try:
        value = json.loads(handover) if isinstance(handover, str) else dict(handover)
        if not isinstance(value, dict):
            raise TypeError(f"JSON of a {type(value).__name__}")
        return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise InvalidHandOverError(
            "The parameters of a hand-over cannot be kept.",
            found=str(error),
            expected="a JSON object without NaN and infinity",
            remedy="Fit the hand-over again, and give its own JSON text unchanged.",
        ) from error


def text_sha256(handover: str | Mapping[str, Any]) -> str:
    """Return the hexadecimal SHA-256 of the canonical text; raises as `canonical_text`."""
    return hashlib.sha256(canonical_text(handover).encode()).hexdigest()
