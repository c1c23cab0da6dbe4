"""Units of a flux of CO2: read with a units library, converted to the record's."""

import re
from functools import cache
from typing import TYPE_CHECKING

from ingest.errors import MissingUnitsError, UnitsError

if TYPE_CHECKING:
    import pint

CANONICAL = "mmol m-2 d-1"
CARBON_G_PER_MOL = 12.011
CO2_G_PER_MOL = 44.009

# A year of a flux is 365.25 days, as in the products; a month has no fixed length.
_DAYS_PER_YEAR = 365.25
_TOKEN = re.compile(
    r"(?P<divide>/)?(?P<unit>[A-Za-zµμ]*?CO2|[A-Za-zµμ]+)(?:\^|\*\*)?(?P<power>[+-]?\d+)?"
)
_CARRIERS = {"C": "carbon", "CO2": "co2"}
_MASS = re.compile(r"(?P<prefix>[kmuµμTPG]?)g(?P<carrier>CO2|C)?")
_NAMES = {"d": "day", "yr": "tide_year", "y": "tide_year", "a": "tide_year", "year": "tide_year"}
_EXPECTED = f"units of a flux, for example {CANONICAL!r}, 'mol m-2 yr-1' or 'g C m-2 d-1'"


def to_canonical(text: str | None) -> float:
    """Return the factor that turns a flux in these units into mmol m-2 d-1.

    Grams must say of what: ``g C m-2 d-1`` and ``g CO2 m-2 d-1`` differ by 3.7.

    Raises
    ------
    MissingUnitsError
        If there is no text.
    UnitsError
        If it is not a unit, or not one of an amount of CO2 or carbon per area and time.
    """
    import pint

    if text is None or not text.strip():
        raise MissingUnitsError(
            "The flux states no units.",
            found="no 'units' attribute, or an empty one",
            expected=_EXPECTED,
            remedy="Ask the provider; a flux without units must not enter the record.",
        )
    try:
        quantity = _parsed(text)
        return float(quantity.to(_parsed(CANONICAL).units).magnitude)
    except pint.DimensionalityError:
        found = f"{text!r}, which is no amount of CO2 per area and time"
    except (pint.UndefinedUnitError, ValueError) as error:
        found = f"{text!r} ({error})"
    raise UnitsError(
        "The units are not those of a flux of CO2.",
        found=found,
        expected=_EXPECTED,
        remedy="Correct the units in the file, or name the right variable in the specification.",
    )


@cache
def _registry() -> "pint.UnitRegistry":
    import pint

    registry: pint.UnitRegistry = pint.UnitRegistry()
    # A mole of CO2 carries a mole of carbon: moles of either are the same amount here.
    registry.define(f"gram_of_carbon = {1 / CARBON_G_PER_MOL!r} * mole")
    registry.define(f"gram_of_co2 = {1 / CO2_G_PER_MOL!r} * mole")
    registry.define(f"tide_year = {_DAYS_PER_YEAR} * day")
    return registry


def _parsed(text: str) -> "pint.Quantity":
    """Return a unit text (``mmol m-2 d-1``, ``g C/m^2/day``, ``molC m**-2 a-1``) as a quantity."""
    registry = _registry()
    quantity = registry.Quantity(1.0)
    cleaned = re.sub(r"\s*/\s*", " /", text.replace("·", " ").replace("(", " ").replace(")", " "))
    words = re.sub(r"(?<!\*)\*(?!\*)|\.(?!\d)", " ", cleaned).split()
    position = 0
    while position < len(words):
        match = _TOKEN.fullmatch(words[position])
        if match is None:
            raise ValueError(f"cannot read {words[position]!r}")
        name = match["unit"]
        if position + 1 < len(words) and words[position + 1] in _CARRIERS:
            name += words[position + 1]
            position += 1
        power = int(match["power"] or 1) * (-1 if match["divide"] else 1)
        quantity = quantity * _unit(name, registry) ** power
        position += 1
    return quantity


def _unit(name: str, registry: "pint.UnitRegistry") -> "pint.Quantity":
    mass = _MASS.fullmatch(name)
    if mass is not None and name != "kg":
        if mass["carrier"] is None:
            raise ValueError("grams of what: C or CO2?")
        prefix = mass["prefix"].replace("µ", "u").replace("μ", "u")
        return registry.Quantity(1.0, f"{prefix}gram_of_{_CARRIERS[mass['carrier']]}")
    if name.startswith("month"):
        raise ValueError("a month has no fixed length")
    moles = re.fullmatch(r"(?P<amount>[kmuµμTG]?mol(?:e|es)?)(?:CO2|C)?", name)
    if moles is not None:
        name = moles["amount"].replace("µ", "u").replace("μ", "u")
    return registry.Quantity(1.0, _NAMES.get(name, name))
