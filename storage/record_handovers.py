"""The hand-overs in the record's own attributes: the record says by itself what corrected it."""

import json
from collections.abc import Mapping
from typing import Any

import zarr

from storage.handover_text import InvalidHandOverError, canonical_text
from storage.record_errors import RecordMismatchError

HANDOVERS = "handovers"
"""Attribute of the record: JSON list of the hand-overs that it was made with; absent if none."""


def handovers_of(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the hand-overs in a record's attributes as canonical JSON texts, oldest first.

    Raises
    ------
    RecordMismatchError
        If the attribute is something else than a JSON list of objects.
    """
    text = attributes.get(HANDOVERS, "[]")
    try:
        return tuple(canonical_text(handover) for handover in json.loads(text))
    except (TypeError, ValueError, InvalidHandOverError) as error:
        raise RecordMismatchError(
            "The record's hand-overs cannot be read.",
            found=f"attribute {HANDOVERS} {str(text)[:100]!r}",
            expected="a JSON list of objects",
            remedy="Read an earlier snapshot, or restore the record from its last copy.",
        ) from error


def add_handover(group: zarr.Group, handover: str) -> None:
    """Add a canonical hand-over to the attributes of a record's root group."""
    # As text, because attributes of other formats that a record may be copied to hold no lists.
    group.attrs[HANDOVERS] = f"[{','.join([*handovers_of(dict(group.attrs)), handover])}]"


def handover_differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Return how stored hand-overs differ from the declared ones; there may be more of them."""
    declared = handovers_of(expected)
    try:
        stored = handovers_of(found)
    except RecordMismatchError as error:
        return [f"record, attribute {HANDOVERS}: {error.message} {error.found}"]
    if stored[: len(declared)] == declared:
        return []
    return [
        f"record, attribute {HANDOVERS}: {len(stored)} stored, which do not begin with the "
        f"{len(declared)} declared"
    ]
