"""What a fitted forecaster belongs to: its grid and ocean mask, and the check that they agree."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from storage.grid import Grid
from storage.months import Month
from tidenet.errors import IncompatibleModelError, IncompleteFieldError
from tidenet.record import FluxRecord


@dataclass(frozen=True)
class Domain:
    """The grid and ocean mask that a forecaster was fitted on."""

    grid: Grid
    ocean: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """Cell area on ocean cells and 0 on land (lat, lon), m2."""
        return np.where(self.ocean, self.grid.cell_area, 0.0)

    def describe(self) -> dict[str, Any]:
        """Return it as JSON-able values; the mask as its checksum and number of ocean cells."""
        packed = np.packbits(np.asarray(self.ocean, dtype=bool))
        return {
            # As JSON gives it back: tuples of edges come as lists.
            "grid": {
                k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.grid).items()
            },
            "ocean_cells": int(self.ocean.sum()),
            "ocean_sha256": hashlib.sha256(packed.tobytes()).hexdigest(),
        }

    def require(self, description: Mapping[str, Any]) -> None:
        """Refuse a model that was described on another grid or mask.

        Raises
        ------
        IncompatibleModelError
            If anything differs; the message lists every difference.
        """
        refuse_differences(differences(description, self.describe()))

    def require_record(self, record: FluxRecord) -> None:
        """Refuse a record on another grid or mask.

        Raises
        ------
        IncompatibleModelError
            If anything differs; the message lists every difference.
        """
        self.require(Domain(record.grid, record.ocean).describe())


def differences(model: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return one line for each entry in which a model's description differs from what is wanted."""
    lines = []
    for key, value in wanted.items():
        mine = model.get(key)
        if isinstance(value, Mapping) and isinstance(mine, Mapping):
            lines += [f"{key}.{line}" for line in differences(mine, value)]
        elif mine != value:
            lines.append(f"{key}: {mine!r} instead of {value!r}")
    return lines


def refuse_differences(lines: list[str]) -> None:
    """Raise one error that lists every difference, if there are any."""
    if lines:
        raise IncompatibleModelError(
            "Model and record do not belong together.",
            found="; ".join(lines),
            expected="the same grid, ocean mask and tensors",
            remedy="Choose a model that was trained on this record, or train one.",
        )


def input_window(record: FluxRecord, init_month: Month, n_history: int) -> np.ndarray:
    """Return the input fields (n_history, lat, lon), complete over the ocean.

    Raises
    ------
    NotEnoughMonthsError
        If the record does not cover them.
    IncompleteFieldError
        If an ocean cell of one has no value.
    """
    fields = record.history(init_month, n_history)
    missing = np.count_nonzero(~np.isfinite(fields) & record.ocean, axis=(1, 2))
    if missing.any():
        months = init_month - (n_history - 1) + np.flatnonzero(missing)
        raise IncompleteFieldError(
            "An input field is not complete over the ocean.",
            found=", ".join(
                f"{month}: {count} cells"
                for month, count in zip(months, missing[missing > 0], strict=True)
            ),
            expected="a finite value on every ocean cell",
            remedy="Complete the month before it is used for forecasting.",
        )
    return fields
