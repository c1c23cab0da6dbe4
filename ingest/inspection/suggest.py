"""A product specification suggested for a file that no product is known for.

What the file says is taken from it; what is guessed is marked with ``# check:``, for a person to
confirm. The suggestion is tried on the file, and what remains to be done is said above it.
"""

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

from ingest.catalogue import parse_product
from ingest.container import Container, RawVariable, opened
from ingest.errors import RefusedFileError, UnreadableFileError
from ingest.inspection.grid_guess import GridGuess, guess_grid
from ingest.inspection.quantity_guess import QuantityGuess, convertible, guess_quantities
from ingest.inspection.table_guess import guess_table
from ingest.inspection.time_guess import TimeGuess, guess_time
from ingest.inspection.value_guess import guess_fills, said_direction
from ingest.quantities import FLUX, QUANTITIES
from ingest.reader import months_in, read_month
from ingest.specification import ProductSpecification
from storage.months import month


def suggest(path: Path, file_name: str, *, now: dt.datetime) -> str:
    """Return the YAML text of a specification for a file.

    It is one that `ingest.catalogue.parse_product` takes; where that is possible, the file is read
    with it.

    Parameters
    ----------
    path
        The file on the local disk.
    file_name
        The provider's name of the file.
    now
        The present moment.

    Raises
    ------
    UnreadableFileError
        If it is no whole NetCDF or HDF5 file, and no text table.
    """
    name = product_name(file_name)
    try:
        with opened(path) as container:
            lines = _Draft(container, file_name, name).lines()
    except UnreadableFileError as error:
        table = guess_table(path, file_name)
        if table is None:
            raise error
        lines = table
    text = "\n".join(lines) + "\n"
    return "\n".join([*_heading(name), *_trial(path, file_name, name, text, now)]) + "\n" + text


def product_name(file_name: str) -> str:
    """Return a name for the product of a file: the file's, without dates and signs."""
    stem = re.sub(r"\.\w+$", "", file_name)
    stem = re.sub(r"(?<!\d)(19|20)\d{2}[-_.]?\d*", "", stem).lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-") or "my-product"


def _heading(name: str) -> list[str]:
    return [
        f"# Save this as {name}.yaml in a folder, and set TIDENET_PRODUCTS_FOLDER to it.",
        "# Lines with 'check:' are guesses; docs/products.md explains every key.",
    ]


def _trial(path: Path, file_name: str, name: str, text: str, now: dt.datetime) -> list[str]:
    """Return what reading the file with the suggestion says, as comments."""
    product = parse_product(name, text)
    assert isinstance(product, ProductSpecification)
    if not product.delivers:
        return []
    try:
        held = months_in(path, product, file_name=file_name, now=now)
        wanted = held[-1] if held else month(now.date())
        read_month(path, product, file_name=file_name, now=now, wanted=wanted)
    except RefusedFileError as error:
        said = " ".join(str(error).split())
        return ["# check: as it stands, this file is refused:", f"#   {said[:500]}"]
    return []


class _Draft:
    """Puts the lines of a suggestion together."""

    def __init__(self, container: Container, file_name: str, name: str) -> None:
        self.container = container
        self.file_name = file_name
        self.name = name

    def lines(self) -> list[str]:
        grid = guess_grid(self.container, self.name)
        time = guess_time(self.container, self.file_name, grid.maps)
        found = guess_quantities(grid.maps)
        lines = [
            f"title: {_text(self._title)}",
            *_noted(f"file_pattern: {_text(time.pattern)}", time.name_doubts),
            *self._time(time),
            *self._grid(grid),
            "quantities:",
        ]
        for quantity, guess in found.items():
            lines += self._quantity(quantity, guess, time)
        if not found:
            lines += self._nothing(grid)
        fills = sorted({v for q, g in found.items() for v in guess_fills(g.variable, q, grid)})
        if fills:
            shown = ", ".join(f"{fill:.8g}" for fill in fills)
            lines.append(f"fill_values: [{shown}]  # check: repeated, and not declared by the file")
        if FLUX in found:
            lines += self._mask(grid)
        return lines + self._words()

    @property
    def _title(self) -> str:
        title = self.container.attributes.get("title")
        return " ".join(str(title).split())[:120] if title else f"Files like {self.file_name}"

    def _time(self, time: TimeGuess) -> list[str]:
        lines = []
        if time.holds != "month":
            lines.append(f"holds: {time.holds}")
        lines += _noted(f"time: {time.says}", time.doubts) if time.says != "both" else []
        if time.fixed_month is not None:
            lines.append(f'fixed_month: "{time.fixed_month}"  # check: nothing says the month')
        if time.variable not in (None, "time"):
            lines.append(f"time_names: [{_text(time.variable)}]")
        return lines

    def _grid(self, grid: GridGuess) -> list[str]:
        lines = _noted(f"grid: {grid.text}", grid.doubts)
        if grid.rows is not None:
            lines.append(f"rows: {grid.rows}  # check: the file has no coordinates that say it")
        for key, axis in (("latitude", grid.latitude), ("longitude", grid.longitude)):
            if axis is not None and axis not in ProductSpecification.model_fields[key].default:
                lines.append(f"{key}: [{_text(axis)}]")
        return lines

    def _quantity(self, quantity: str, guess: QuantityGuess, time: TimeGuess) -> list[str]:
        variable = guess.variable
        name = time.in_names(variable.name)
        others = [other for other in guess.others if time.in_names(other) != name]
        lines = [
            f"  {quantity}:",
            *_noted(f"    names: [{_text(name)}]", (f"or {', '.join(others[:6])}",) * bool(others)),
            *self._units(quantity, variable),
        ]
        if quantity == FLUX:
            direction, doubt = said_direction(variable)
            lines += _noted(f"    positive: {direction}", (doubt,) if doubt else ())
        if guess.uncertainty is not None:
            lines.append(f"    uncertainty_names: [{_text(time.in_names(guess.uncertainty.name))}]")
        if quantity == FLUX:
            units = QUANTITIES[FLUX].units
            lines.append(f"    uncertainty: 2.0  # check: one standard deviation, {units}")
        return lines + self._flags(variable)

    def _units(self, quantity: str, variable: RawVariable) -> list[str]:
        stated, wanted = variable.attributes.get("units"), QUANTITIES[quantity].units
        if not stated:
            return [f"    units_if_missing: {_text(wanted)}  # check: the file states no units"]
        if not convertible(stated, quantity):
            said = " ".join(str(stated).split())
            return [f"    units: {_text(wanted)}  # check: the file says {said}"]
        return []

    def _flags(self, variable: RawVariable) -> list[str]:
        like = [
            other.name
            for other in self.container.variables.values()
            if other.dims == variable.dims
            and other.dtype.kind in "iu"
            and re.search(r"qual|flag", other.name.lower())
        ]
        hint = "flags: {variable: %s, keep: [0]}, with the values that are good"
        return [f"    # check: {hint % _text(name)}" for name in like[:3]]

    def _nothing(self, grid: GridGuess) -> list[str]:
        """Return a first quantity where none was recognised, so that the text can be completed."""
        name = grid.maps[0].name if grid.maps else "the name of its variable"
        held = ", ".join(v.name for v in grid.maps[:8]) or "no map"
        return [
            f"  sst:  # check: no quantity was recognised among {held}; known are",
            f"    # {', '.join(QUANTITIES)}",
            f"    names: [{_text(name)}]",
        ]

    def _mask(self, grid: GridGuess) -> list[str]:
        for variable in self.container.variables.values():
            name = variable.name.lower()
            if variable.dims[-2:] == grid.dims and re.search(r"mask|ocean|lsm", name):
                marks = "land" if "land" in name or "lsm" in name else "ocean"
                where = f"{{variable: {_text(variable.name)}, marks: {marks}}}"
                return [f"mask: {where}  # check: not zero on {marks}"]
        return ["mask: {first_months: 12}  # check: ocean is what these months have a value on"]

    def _words(self) -> list[str]:
        lines = []
        attributes = self.container.attributes
        for key, names in (("licence", ("license", "licence")), ("citation", ("citation",))):
            said = next((attributes[name] for name in names if attributes.get(name)), None)
            if said is not None:
                lines.append(f"{key}: {_text(' '.join(str(said).split())[:300])}")
        return lines


def _noted(line: str, doubts: tuple[str, ...]) -> list[str]:
    return [f"{line}  # check: {'; '.join(doubts)}" if doubts else line]


def _text(value: Any) -> str:
    """Return a text as YAML: bare where nothing in it means something, else in quotes."""
    text = str(value)
    plain = re.fullmatch(r"[A-Za-z][\w ./-]*", text) and not text.endswith((" ", "."))
    words = {"true", "false", "yes", "no", "on", "off", "null", "none", "y", "n"}
    return text if plain and text.lower() not in words else json.dumps(text)
