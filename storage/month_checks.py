"""What a month must be before it enters the record, and the form in which it is stored."""

from dataclasses import fields, replace

import numpy as np

from storage.flux_month import FluxMonth, Quality
from storage.grid import Grid
from storage.record_template import (
    FLUX_MANTISSA_BITS,
    UNCERTAINTY_MANTISSA_BITS,
    RecordTemplate,
)

_HAS_VALUE = (Quality.OBSERVED, Quality.COMPLETED)
_DTYPES = {"fco2": np.float32, "quality": np.uint8, "uncertainty": np.float32}


def rounded(values: np.ndarray, mantissa_bits: int) -> np.ndarray:
    """Return float32 values rounded to the nearest with so many mantissa bits; NaN stays NaN.

    Rounding twice is rounding once. Every NaN becomes the same one, so that equal fields have equal
    bytes.
    """
    from numcodecs import BitRound

    clean = np.where(np.isnan(values), np.float32(np.nan), values).astype(np.float32, copy=False)
    codec = BitRound(keepbits=mantissa_bits)
    return np.asarray(codec.encode(clean)).view(np.float32).reshape(values.shape)


def at_stored_precision(month: FluxMonth) -> FluxMonth:
    """Return a month as the store will give it back, bit for bit."""
    return replace(
        month,
        fco2=rounded(month.fco2, FLUX_MANTISSA_BITS),
        quality=np.ascontiguousarray(month.quality),
        uncertainty=rounded(month.uncertainty, UNCERTAINTY_MANTISSA_BITS),
    )


def month_differences(template: RecordTemplate, month: FluxMonth) -> list[str]:
    """Return what about a month does not fit the record, one sentence each; empty if it fits.

    The grid, the types and the shapes come first. Only where they fit are the values compared with
    the ocean mask: a value on land, an ocean cell without one, flags that say otherwise.
    """
    lines = _grid_differences(month.grid, template.grid)
    for name, dtype in _DTYPES.items():
        array = getattr(month, name)
        if array.dtype != dtype:
            lines.append(f"{name}, type: {array.dtype}, the record has {np.dtype(dtype)}")
        if array.shape != template.grid.shape:
            lines.append(f"{name}, shape: {array.shape}, the record has {template.grid.shape}")
    return lines or _value_differences(template.ocean, month)


def _grid_differences(found: Grid, expected: Grid) -> list[str]:
    pairs = [(f.name, getattr(found, f.name), getattr(expected, f.name)) for f in fields(Grid)]
    return [f"grid, {name}: {a!r}, the record has {b!r}" for name, a, b in pairs if a != b]


def _value_differences(ocean: np.ndarray, month: FluxMonth) -> list[str]:
    has_flag = np.isin(month.quality, _HAS_VALUE)
    finite = np.isfinite(month.fco2)
    unknown = ~np.isin(month.quality, list(Quality))
    cases = {
        "fco2 has values on land cells": finite & ~ocean,
        "fco2 has no value on ocean cells": ~finite & ocean,
        "fco2 is infinite": np.isinf(month.fco2),
        "quality has values without a meaning": unknown,
        "quality says observed or completed on land cells": has_flag & ~ocean,
        "quality says land or outside the product on ocean cells": ~has_flag & ~unknown & ocean,
        "uncertainty has values on land cells": ~np.isnan(month.uncertainty) & ~ocean,
        "uncertainty is negative or infinite": (month.uncertainty < 0)
        | np.isinf(month.uncertainty),
    }
    lines = [f"{text}: {int(bad.sum())} cells" for text, bad in cases.items() if bad.any()]
    if lines:
        lines += _orientation_hints(ocean, finite)
    return lines


def _orientation_hints(ocean: np.ndarray, finite: np.ndarray) -> list[str]:
    """Say so when the valid cells are the mask upside down, mirrored or shifted sideways."""
    if np.array_equal(finite, ocean):
        return []
    if np.array_equal(finite[::-1], ocean):
        return ["the rows look flipped: with latitude reversed the month fits the mask"]
    if np.array_equal(finite[:, ::-1], ocean):
        return ["the columns look mirrored: with longitude reversed the month fits the mask"]
    if finite.sum() == ocean.sum():
        # The shift that brings most cells together, from the correlation along longitude.
        spectrum = np.conj(np.fft.rfft(finite, axis=1)) * np.fft.rfft(ocean, axis=1)
        shift = int(np.argmax(np.fft.irfft(spectrum.sum(axis=0), n=ocean.shape[1])))
        if shift and np.array_equal(np.roll(finite, shift, axis=1), ocean):
            cells = shift if shift <= ocean.shape[1] // 2 else shift - ocean.shape[1]
            return [f"the columns look shifted: moved by {cells} cells the month fits the mask"]
    return []
