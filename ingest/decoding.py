"""Decoding a variable: missing values, packing, valid range, quality flags, units."""

import numpy as np

from ingest.container import RawVariable
from ingest.errors import ImpossibleValuesError, InvalidEncodingError
from ingest.quantities import QUANTITIES
from ingest.specification import Flags

# What the NetCDF library fills unwritten values with; files need not declare it. That of floating
# point numbers is 9.97e36; bytes have none, because each of their values may be meant.
_UNWRITTEN = 9e36
_UNWRITTEN_INTEGERS = {
    **{"i2": -(2**15) + 1, "i4": -(2**31) + 1, "i8": -(2**63) + 2},
    **{"u2": 2**16 - 1, "u4": 2**32 - 1, "u8": 2**64 - 2},
}


def decoded(
    variable: RawVariable, values: np.ndarray, fill_values: tuple[float, ...] = ()
) -> np.ndarray:
    """Return values as float64 with NaN where they are missing, packing undone.

    Missing is what the file declares (``_FillValue``, ``missing_value``), what lies outside its
    declared valid range, what the NetCDF library fills by itself, and what the specification names.

    Parameters
    ----------
    variable
        The variable, for its attributes.
    values
        Its values or a part of them.
    fill_values
        Further values that mean missing, packed or unpacked.

    Raises
    ------
    InvalidEncodingError
        If it holds no numbers, or its packing cannot be undone.
    """
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)  # masks
    if values.dtype.kind not in "fiu":
        raise InvalidEncodingError(
            f"The variable {variable.name} holds no numbers.",
            found=f"type {values.dtype}",
            expected="floating point or integers",
            remedy="Name the right variable in the product specification.",
        )
    values = _with_declared_sign(variable, values)
    missing = np.zeros(values.shape, dtype=bool)
    for fill in _declared_fills(variable):
        missing |= _equals(values, fill)
    if values.dtype.kind == "f":
        missing |= np.abs(values) > _UNWRITTEN
    elif "_FillValue" not in variable.attributes:
        unwritten = _UNWRITTEN_INTEGERS.get(values.dtype.str[1:])
        missing |= False if unwritten is None else values == unwritten
    scale = _number(variable, "scale_factor", 1.0)
    offset = _number(variable, "add_offset", 0.0)
    unpacked = values.astype(np.float64) * scale + offset
    low, high, are_packed = _valid_range(variable, values.dtype)
    ranged = values if are_packed else unpacked
    with np.errstate(invalid="ignore"):
        missing |= (ranged < low) | (ranged > high)
    for fill in fill_values:
        missing |= _equals(values, fill) | _equals(unpacked, fill)
    unpacked[missing | ~np.isfinite(unpacked)] = np.nan
    return unpacked


def kept_by(flags: Flags, variable: RawVariable, values: np.ndarray) -> np.ndarray:
    """Return where a quality variable says that the value is good, boolean.

    Raises
    ------
    InvalidEncodingError
        If it holds no integers.
    """
    whole = values.astype(np.int64) if values.dtype.kind in "iu" else np.zeros(values.shape, int)
    if values.dtype.kind == "f":
        finite = np.nan_to_num(values, nan=-1.0, posinf=-1.0, neginf=-1.0)
        whole = finite.astype(np.int64)
    if values.dtype.kind not in "iuf" or (values.dtype.kind == "f" and (finite != whole).any()):
        raise InvalidEncodingError(
            f"The quality variable {variable.name} holds no whole numbers.",
            found=f"type {values.dtype}",
            expected="integers",
            remedy="Name the right variable under flags in the product specification.",
        )
    if flags.keep:
        return np.isin(whole, flags.keep)
    return (whole & flags.without_bits) == 0


def refuse_impossible(values: np.ndarray, quantity: str, variable: RawVariable) -> None:
    """Refuse values that no sea and no air above it can have.

    Parameters
    ----------
    values
        In the quantity's units; NaN where missing.

    Raises
    ------
    ImpossibleValuesError
        If one lies outside the quantity's possible range.
    """
    known = QUANTITIES[quantity]
    with np.errstate(invalid="ignore"):
        outside = (values < known.low) | (values > known.high)
    if outside.any():
        raise ImpossibleValuesError(
            f"Values of {variable.name} are impossible for the {known.title}.",
            found=f"{int(outside.sum())} of {values.size}, from {np.nanmin(values):.6g} to "
            f"{np.nanmax(values):.6g} {known.units}",
            expected=f"{known.low:g} to {known.high:g} {known.units}",
            remedy="Check units, scale_factor and fill values; write what the file does not say "
            "into the product specification.",
        )


def refuse_negative(errors: np.ndarray, variable: RawVariable) -> None:
    """Refuse standard deviations that are negative. Raises ImpossibleValuesError."""
    with np.errstate(invalid="ignore"):
        negative = errors < 0
    if negative.any():
        raise ImpossibleValuesError(
            f"Standard deviations in {variable.name} are negative.",
            found=f"{int(negative.sum())} of {errors.size}, down to {np.nanmin(errors):.6g}",
            expected="positive numbers",
            remedy="Name the right variable; write a fill value that the file does not declare "
            "into the product specification.",
        )


def _with_declared_sign(variable: RawVariable, values: np.ndarray) -> np.ndarray:
    """Return integers with or without a sign as ``_Unsigned`` has it: NetCDF-3 has no other way."""
    said = str(variable.attributes.get("_Unsigned", "")).lower()
    if values.dtype.kind == "i" and said == "true":
        return values.view(values.dtype.str.replace("i", "u"))
    if values.dtype.kind == "u" and said == "false":
        return values.view(values.dtype.str.replace("u", "i"))
    return values


def _declared_fills(variable: RawVariable) -> list[float]:
    """Return the values that a variable declares to mean missing.

    Raises
    ------
    InvalidEncodingError
        If it declares something that is no number.
    """
    fills = []
    for key in ("_FillValue", "missing_value"):
        for fill in np.atleast_1d(variable.attributes.get(key, [])).ravel():
            try:
                fills.append(fill if fill.dtype.kind in "iu" else float(fill))
            except (ValueError, OverflowError) as error:
                raise InvalidEncodingError(
                    f"The {key} of {variable.name} is no number.",
                    found=repr(str(fill))[:100],
                    expected="a number",
                    remedy="Ask the provider for a correct file.",
                ) from error
    return fills


def _equals(values: np.ndarray, fill: float) -> np.ndarray:
    """Return where values are a fill value, as the file's own type can hold it."""
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values == np.asarray(fill).astype(values.dtype)
    if not np.isfinite(fill) or fill != int(fill):
        return np.zeros(values.shape, dtype=bool)
    whole = int(fill)
    half = 1 << (8 * values.dtype.itemsize - 1)
    if values.dtype.kind == "u" and -half <= whole < 0:
        # Signed fills of unsigned data, as NetCDF-3 conventions have it, mean the same bits.
        whole += 2 * half
    return values == whole


def _valid_range(variable: RawVariable, dtype: np.dtype) -> tuple[float, float, bool]:
    """Return the declared valid range, infinite where none, and whether it is in packed numbers.

    It is, unless its type is that of unpacked values and the packed ones are integers (NetCDF
    User's Guide, attribute conventions).
    """
    keys = ("valid_range", "valid_min", "valid_max")
    stated = [np.asarray(variable.attributes[key]) for key in keys if key in variable.attributes]
    are_packed = dtype.kind == "f" or all(limit.dtype.kind in "iu" for limit in stated)
    pair = np.atleast_1d(variable.attributes.get("valid_range", [])).ravel()
    if pair.size == 2 and pair.dtype.kind in "fiu" and np.isfinite(pair.astype(float)).all():
        return float(pair[0]), float(pair[1]), are_packed
    low, high = -np.inf, np.inf
    if "valid_min" in variable.attributes:
        low = _number(variable, "valid_min", low, finite=False)
    if "valid_max" in variable.attributes:
        high = _number(variable, "valid_max", high, finite=False)
    return low, high, are_packed


def _number(variable: RawVariable, key: str, default: float, *, finite: bool = True) -> float:
    value = np.asarray(variable.attributes.get(key, default))
    usable = value.size == 1 and value.dtype.kind in "fiu"
    usable = usable and (np.isfinite(value).all() or not finite)
    if not usable or (key == "scale_factor" and float(value.ravel()[0]) == 0):
        raise InvalidEncodingError(
            f"The {key} of {variable.name} is not usable.",
            found=repr(variable.attributes.get(key)),
            expected="one number that is not zero" if key == "scale_factor" else "one number",
            remedy="Ask the provider for a correct file.",
        )
    return float(value.ravel()[0])
