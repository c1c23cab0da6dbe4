"""Units as files write them, read with a units library and converted to those of a quantity."""

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ingest.errors import MissingUnitsError, UnitsError
from ingest.quantities import FLUX, QUANTITIES

if TYPE_CHECKING:
    import pint

CARBON_G_PER_MOL = 12.011
CO2_G_PER_MOL = 44.009

# A year of a flux is 365.25 days, as in the products; a month has no fixed length.
_DAYS_PER_YEAR = 365.25
_TOKEN = re.compile(
    r"(?P<divide>/)?(?P<unit>[A-Za-zµμ%°]*?CO2|[A-Za-zµμ%°_]+|1)(?:\^|\*\*)?(?P<power>[+-]?\d+)?"
)
_CARRIERS = {"C": "carbon", "CO2": "co2"}
_MASS = re.compile(r"(?P<prefix>[kmuµμTPG]?)g(?P<carrier>CO2|C)?")
_NAMES = {"d": "day", "yr": "tide_year", "y": "tide_year", "a": "tide_year", "year": "tide_year"}
_NAMES |= {"sec": "second", "mb": "millibar", "atmosphere": "atm"}

# What a text as a whole means where its parts do not say it.
_ALIASES: dict[str, dict[str, str]] = {
    "degC": {
        **dict.fromkeys(("c", "°c", "celsius", "degc", "deg c", "deg_c"), "degC"),
        **dict.fromkeys(
            (f"{a}{b}{c}" for a in ("degree", "degrees") for b in "_ " for c in ("c", "celsius")),
            "degC",
        ),
        **dict.fromkeys(("k", "kelvin", "kelvins", "degk", "deg_k", "degrees_kelvin"), "kelvin"),
    },
    "1": dict.fromkeys(("unitless", "dimensionless", "none", "fraction", "-", "1.0"), "1"),
    "ppm": dict.fromkeys(
        ("ppmv", "umol mol-1", "umol/mol", "micromol mol-1", "µmol mol-1", "1e-6", "1.e-6"), "ppm"
    ),
}
# Practical salinity has no unit; these are what files write in its place, all for the same number.
_SALINITY = dict.fromkeys(("psu", "pss", "pss-78", "1e-3", "0.001", "g kg-1", "g/kg", "ppt"), "1")


@dataclass(frozen=True)
class Conversion:
    """From the units of a file to those of a quantity: ``factor * value + offset``.

    Parameters
    ----------
    factor, offset
        Numbers; the offset is in the quantity's units.
    """

    factor: float
    offset: float = 0.0

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return values in the quantity's units."""
        return values * self.factor + self.offset

    def of_error(self, values: np.ndarray) -> np.ndarray:
        """Return standard deviations in the quantity's units: a shift does not change them."""
        return np.abs(values * self.factor)


def conversion(text: str | None, quantity: str) -> Conversion:
    """Return how values in the units of a file become values of a quantity.

    Grams of a flux must say of what: ``g C m-2 d-1`` and ``g CO2 m-2 d-1`` differ by 3.7.

    Parameters
    ----------
    text
        The units as the file or the specification writes them.
    quantity
        A name in `ingest.quantities.QUANTITIES`.

    Raises
    ------
    MissingUnitsError
        If there is no text.
    UnitsError
        If it is not a unit, or not one of the quantity.
    """
    import pint

    wanted = QUANTITIES[quantity]
    example = "'mol m-2 yr-1' or 'g C m-2 d-1'" if quantity == FLUX else "another unit of the same"
    expected = f"units of the {wanted.title}, for example {wanted.units!r}, or {example}"
    if text is None or not text.strip():
        raise MissingUnitsError(
            f"The {wanted.title} states no units.",
            found="no 'units' attribute, or an empty one",
            expected=expected,
            remedy="Ask the provider; where the units are certain, write them as "
            "units_if_missing into the product specification.",
        )
    try:
        return _convert(text, wanted.units, quantity)
    except pint.DimensionalityError:
        found = f"{text!r}, which is another kind of quantity"
    except (pint.PintError, ValueError, OverflowError, ZeroDivisionError) as error:
        found = f"{text!r} ({error})"
    raise UnitsError(
        f"The units are not those of the {wanted.title}.",
        found=found[:300],
        expected=expected,
        remedy="Name the right variable in the specification; where the file's word is known to "
        "be wrong, write the right units there.",
    )


def _convert(text: str, wanted: str, quantity: str) -> Conversion:
    aliases = _ALIASES.get(wanted, {}) | (_SALINITY if quantity == "sss" else {})
    whole = " ".join(text.split()).lower()
    stated = aliases.get(whole, text)
    if wanted == "degC":
        if stated not in ("degC", "kelvin"):
            _parsed(text, carriers=False)
            raise ValueError("no temperature")
        return Conversion(1.0, -273.15 if stated == "kelvin" else 0.0)
    if stated == wanted:
        return Conversion(1.0)
    carriers = quantity == FLUX
    target = _parsed(wanted, carriers=carriers)
    return Conversion(float(_parsed(stated, carriers=carriers).to(target.units).magnitude))


@cache
def _registry() -> "pint.UnitRegistry":
    import pint

    registry: pint.UnitRegistry = pint.UnitRegistry()
    # A mole of CO2 carries a mole of carbon: moles of either are the same amount here.
    registry.define(f"gram_of_carbon = {1 / CARBON_G_PER_MOL!r} * mole")
    registry.define(f"gram_of_co2 = {1 / CO2_G_PER_MOL!r} * mole")
    registry.define(f"tide_year = {_DAYS_PER_YEAR} * day")
    return registry


def _parsed(text: str, *, carriers: bool) -> "pint.Quantity":
    """Return a unit text (``mmol m-2 d-1``, ``g C/m^2/day``, ``molC m**-2 a-1``) as a quantity.

    With carriers, grams have to say of what, and moles may.
    """
    registry = _registry()
    quantity = registry.Quantity(1.0)
    cleaned = re.sub(r"\s*/\s*", " /", text.replace("·", " ").replace("(", " ").replace(")", " "))
    words = re.sub(r"(?<!\*)\*(?!\*)|\.(?!\d)", " ", cleaned).split()
    if not words or len(words) > 12:
        raise ValueError("no unit")
    position = 0
    while position < len(words):
        match = _TOKEN.fullmatch(words[position])
        if match is None:
            raise ValueError(f"cannot read {words[position]!r}")
        name = match["unit"]
        if carriers and position + 1 < len(words) and words[position + 1] in _CARRIERS:
            name += words[position + 1]
            position += 1
        power = int(match["power"] or 1) * (-1 if match["divide"] else 1)
        if abs(power) > 9:
            raise ValueError(f"cannot mean the power {power}")
        quantity = quantity * _unit(name, registry, carriers) ** power
        position += 1
    return quantity


def _unit(name: str, registry: "pint.UnitRegistry", carriers: bool) -> "pint.Quantity":
    if name == "1":
        return registry.Quantity(1.0)
    if name == "%":
        return registry.Quantity(0.01)
    mass = _MASS.fullmatch(name)
    if carriers and mass is not None and name != "kg":
        if mass["carrier"] is None:
            raise ValueError("grams of what: C or CO2?")
        prefix = mass["prefix"].replace("µ", "u").replace("μ", "u")
        return registry.Quantity(1.0, f"{prefix}gram_of_{_CARRIERS[mass['carrier']]}")
    if name.startswith("month"):
        raise ValueError("a month has no fixed length")
    moles = re.fullmatch(r"(?P<amount>[kmuµμTG]?mol(?:e|es)?)(?:CO2|C)?", name)
    if moles is not None:
        name = moles["amount"]
    name = name.replace("µ", "u").replace("μ", "u")
    return registry.Quantity(1.0, _NAMES.get(name, name))
