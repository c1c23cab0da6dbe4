"""Which variable of an unknown file holds which quantity, guessed from names and units."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingest.container import RawVariable
from ingest.errors import UnitsError
from ingest.quantities import FLUX, QUANTITIES
from ingest.units import conversion

# What names and descriptions of a quantity look like, and what speaks against it.
_LOOKS: dict[str, tuple[str, str]] = {
    "fco2": (r"fg?co2|co2.?flux|flux.*co2|^flux$", r"fugacity"),
    "pco2_sea": (r"pco2", r"air|atmos|_atm|flux"),
    "fugacity_sea": (r"fco2|fugacity", r"air|atmos|_atm|flux"),
    "pco2_air": (r"pco2.*(air|atm)|(air|atm).*pco2", r"water|sea\b"),
    "fugacity_air": (r"fco2.*(air|atm)|(air|atm).*fco2", r"water|sea\b|flux"),
    "xco2_air": (r"[xv]co2|mole.?fraction|^co2", r"flux"),
    "sst": (r"sst|sea.?surface.?temp|temperature|^tcl", r"(?<!sub)skin|anom|air.?temp"),
    "sst_skin": (r"(?<!sub)skin", r"anom"),
    "sss": (r"sss|salin|^so$|^sal", r"anom"),
    "wind_speed": (
        r"wind|wsp|^ws|^si10|^u10",
        r"moment|direction|eastward|northward|stress|_m2|sq",
    ),
    "wind_speed_squared": (r"(wind|wsp|ws).*(moment_?2|_m2|second|squared|sq)", r"stress"),
    "pressure": (r"msl|slp|^pres|^sp$|(air|sea.?level).?pres", r"co2|partial"),
    "ice_fraction": (r"ice|^sic|siconc", r"thick|slice"),
    "chlorophyll": (r"chl", r"anom"),
    "climate_index": (r"(?!)", r""),  # a table: no map looks like one
}
_NO_VALUE = re.compile(
    r"median|std|stddev|sdev|variance|(^|_)var$|count|(^|_)n(um)?(_|$)|number|moment_[1345]|"
    r"(^|_)(min|max)(_|$)|qual|flag|mask|bias"
)
_ERROR = re.compile(r"err|unc")
_CALLED_AFTER_A_MONTH = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class QuantityGuess:
    """What seems to hold a quantity.

    Parameters
    ----------
    variable
        The variable.
    others
        Names of variables that look alike.
    uncertainty
        The variable that seems to hold its standard deviation.
    """

    variable: RawVariable
    others: tuple[str, ...] = ()
    uncertainty: RawVariable | None = None


def guess_quantities(maps: Sequence[RawVariable]) -> dict[str, QuantityGuess]:
    """Return the quantities that the maps of a file seem to hold.

    Parameters
    ----------
    maps
        The variables that are maps.

    Returns
    -------
    dict
        By quantity. Each variable is taken for one quantity at most.
    """
    scored: dict[str, list[tuple[int, RawVariable]]] = {}
    for variable in maps:
        if _is_value(variable):
            scores = {name: _score(variable, name) for name in QUANTITIES}
            best = max(scores, key=lambda name: scores[name])
            if scores[best] > 0:
                scored.setdefault(best, []).append((scores[best], variable))
    guesses = {}
    for quantity in (name for name in QUANTITIES if name in scored):
        ranked = sorted(scored[quantity], key=lambda item: (-item[0], len(item[1].name)))
        chosen = ranked[0][1]
        others = tuple(variable.name for _, variable in ranked[1:])
        guesses[quantity] = QuantityGuess(chosen, others, _error_of(chosen, quantity, maps))
    return guesses


def convertible(units: object, quantity: str) -> bool:
    """Return whether a text is a unit of a quantity."""
    try:
        conversion(None if units is None else str(units), quantity)
    except UnitsError:
        return False
    return True


def last_part(variable: RawVariable) -> str:
    """Return a variable's name without the groups that it lies in, in small letters."""
    return variable.name.rpartition("/")[2].lower()


def _is_value(variable: RawVariable) -> bool:
    if variable.dtype.kind not in "fiu":
        return False
    name = last_part(variable)
    return not (_NO_VALUE.search(name) or _ERROR.search(name))


def _score(variable: RawVariable, quantity: str) -> int:
    """Return how much speaks for a quantity; 0 if something speaks against it."""
    looks, against = _LOOKS[quantity]
    # A map that is called after its month is named by the group that it lies in.
    grouped = _CALLED_AFTER_A_MONTH.search(variable.name)
    name = variable.name.lower() if grouped else last_part(variable)
    said = str(variable.attributes.get("long_name", "")).lower()
    if re.search(against, name) or (re.search(against, said) and quantity != FLUX):
        return 0
    standard_name = variable.attributes.get("standard_name")
    score = 4 * (standard_name in QUANTITIES[quantity].standard_names)
    score += 3 * bool(re.search(looks, name)) + 2 * bool(re.search(looks, said))
    if score == 0:
        return 0
    units = variable.attributes.get("units")
    if convertible(units, quantity):
        return score + 2
    # Files give a square the units of what was squared.
    squared = quantity == "wind_speed_squared" and convertible(units, "wind_speed")
    return score if not units or squared else 0


def _error_of(
    variable: RawVariable, quantity: str, maps: Iterable[RawVariable]
) -> RawVariable | None:
    """Return the map of errors whose name begins most like that of a variable."""
    best, longest = None, len(variable.name) // 2
    for other in maps:
        if _ERROR.search(last_part(other)) and convertible(other.attributes.get("units"), quantity):
            shared = _shared_start(variable.name, other.name)
            if shared >= longest:
                best, longest = other, shared + 1
    return best


def _shared_start(first: str, second: str) -> int:
    pairs = zip(first, second, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
