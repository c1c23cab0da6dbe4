"""Product specifications: everything that is particular to a product, in one YAML file each.

A user adds a product by writing such a file into a folder (``TIDENET_PRODUCTS_FOLDER``); no code.
`docs/products.md` explains every key.
"""

import re
from functools import cached_property
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from ingest.file_names import FileNames
from ingest.flux.drivers import missing_drivers
from ingest.flux.options import FluxOptions
from ingest.quantities import FLUX, QUANTITIES
from ingest.sources.sections import LandingSource, SourceSection
from storage.errors import InvalidMonthError
from storage.grid import GRIDS, Grid, grid_named
from storage.months import Month, month

Stage = Literal["final", "preliminary"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GridDeclaration(_Section):
    """A grid of the user's own, cell-centred, in degrees."""

    name: str = Field(min_length=1, description="what messages call it")
    south: float = Field(ge=-91, le=90, description="south edge of the first row")
    west: float = Field(ge=-181, le=360, description="west edge of the first column")
    step: float = Field(gt=0, le=10, description="cell size in both directions")
    n_lat: int = Field(ge=4, le=40_000, description="rows")
    n_lon: int = Field(ge=4, le=80_000, description="columns")


class Flags(_Section):
    """A quality variable beside the values, and which of its values are good."""

    variable: str = Field(description="its name")
    keep: tuple[int, ...] = Field((), description="values to keep; every other cell is missing")
    without_bits: int = Field(0, ge=0, description="bits of which none may be set")

    @model_validator(mode="after")
    def _says_what_is_good(self) -> "Flags":
        if bool(self.keep) == bool(self.without_bits):
            raise ValueError("give keep, or without_bits")
        return self


class Variable(_Section):
    """How one quantity is found in the files of a product."""

    names: tuple[str, ...] = Field(
        min_length=1,
        description="variable names tried, in this order; {year} and {month} are filled in, and "
        "a / separates HDF5 groups",
    )
    units: str | None = Field(
        None, description="units of the values where the file's own word is known to be wrong"
    )
    units_if_missing: str | None = Field(None, description="units of a file that states none")
    positive: Literal["up", "down", "stated"] | None = Field(
        None,
        description="of a flux: up (out of the sea), down (into it), or stated by the file's "
        "standard_name or positive attribute",
    )
    uncertainty_names: tuple[str, ...] = Field(
        (), description="variables of its standard deviation, in the same units, tried in order"
    )
    uncertainty: float | None = Field(
        None, gt=0, description="standard deviation where the file has none, in canonical units"
    )
    flags: Flags | None = Field(None, description="the quality variable, where there is one")


class Band(_Section):
    """One column of a table: the values of one latitude, or of everywhere."""

    column: int | str = Field(description="its name in the header, or its position from 0")
    latitude: float | None = Field(None, ge=-90, le=90, description="degrees north; None: anywhere")


class TableLayout(_Section):
    """A text table of monthly values, one row a month (or several, which are averaged)."""

    quantity: str = Field(description="what it holds")
    units: str = Field(description="its units")
    bands: tuple[Band, ...] = Field(
        min_length=1, description="columns of its values, by latitude where there are several"
    )
    uncertainty_column: int | str | None = Field(
        None, description="column of the standard deviation, in the same units"
    )
    year: int | str | None = Field(None, description="column of the year")
    month: int | str | None = Field(None, description="column of the month, 1 to 12")
    date: int | str | None = Field(None, description="column that begins with YYYY-MM")
    decimal_year: int | str | None = Field(None, description="column of the year with decimals")
    delimiter: str | None = Field(",", description="None: white space")
    comment: str = Field("#", description="lines that begin with it are skipped")
    header: bool = Field(True, description="whether the first line names the columns")
    uncertainty: float | None = Field(
        None, gt=0, description="standard deviation where no column has it, in canonical units"
    )

    @model_validator(mode="after")
    def _says_when(self) -> "TableLayout":
        ways = [self.date is not None, self.decimal_year is not None]
        ways.append(self.year is not None and self.month is not None)
        if sum(ways) != 1:
            raise ValueError("give date, or decimal_year, or year and month")
        if len(self.bands) > 1 and any(band.latitude is None for band in self.bands):
            raise ValueError("several bands need a latitude each")
        return self


class Mask(_Section):
    """Where the record's ocean mask comes from when the record is begun."""

    variable: str | None = Field(None, description="mask variable of the first file")
    marks: Literal["ocean", "land"] = Field("ocean", description="what is not zero in it")
    first_months: int = Field(
        1,
        ge=1,
        le=24,
        description="without a variable: ocean is what has a value in any of the first months",
    )


class Limits(_Section):
    """What a month of this product may look like."""

    minimum: float = Field(-120.0, description="lowest flux of a cell, mmol m-2 d-1")
    maximum: float = Field(120.0, description="highest flux of a cell, mmol m-2 d-1")
    mean_minimum: float = Field(-30.0, description="lowest regional mean, mmol m-2 d-1")
    mean_maximum: float = Field(20.0, description="highest regional mean, mmol m-2 d-1")
    valid_fraction: float = Field(
        0.3, gt=0, le=1, description="least part of the ocean cells that must be observed"
    )


class _Product(_Section):
    """What every product says."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9-]*$",
            description="what commands call it; left out, it is the YAML file's name",
        ),
    ]
    title: str = Field(description="what it is, for people")
    grid: str | GridDeclaration = Field(description="name of a declared grid, or a grid")
    record_grid: str | GridDeclaration | None = Field(
        None, description="grid of the record that it extends, if another: months are regridded"
    )
    mask: Mask = Field(Mask(), description="where the record's ocean mask comes from")
    limits: Limits = Field(Limits(), description="what a month of its flux may look like")
    latency_days: int | None = Field(
        None, ge=0, description="days after a month's end by which it is there; None: no promise"
    )
    start: str | None = Field(None, description="first month of the record (YYYY-MM)")
    licence: str = Field("", description="under which terms it is used")
    citation: str = Field("", description="whom to name")

    @field_validator("grid", "record_grid")
    @classmethod
    def _grid_is_declared(cls, value: str | GridDeclaration | None) -> object:
        if isinstance(value, str) and value not in GRIDS:
            raise ValueError(f"must be one of {', '.join(sorted(GRIDS))}, or south, west, ...")
        return value

    @field_validator("start")
    @classmethod
    def _start_is_a_month(cls, value: str | None) -> str | None:
        return None if value is None else _month_text(value)

    @cached_property
    def target_grid(self) -> Grid:
        """The grid of the product."""
        return _grid(self.grid)

    @cached_property
    def grid_of_record(self) -> Grid:
        """The grid of the record that the product begins or extends."""
        return _grid(self.record_grid or self.grid)


class ProductSpecification(_Product):
    """A product that is delivered as files: a flux, or drivers that a flux is computed from."""

    source: SourceSection = Field(LandingSource(), description="where its files come from")
    file_pattern: str = Field(
        description="file name with {year} and {month} (or {doy}), and * for what varies"
    )
    preliminary_pattern: str | None = Field(
        None, description="names of its preliminary files, which a final file of the month replaces"
    )
    stage: Stage = Field("final", description="what files named by file_pattern are")
    holds: Literal["month", "year", "series", "climatology"] = Field(
        "month",
        description="one month; the months of a year; all months; or a calendar month of any year",
    )
    quantities: dict[str, Variable] = Field({}, description="what it delivers, by quantity")
    table: TableLayout | None = Field(None, description="for text tables, in place of quantities")
    fill_values: tuple[float, ...] = Field(
        (), description="values that mean missing, besides those that the file declares"
    )
    time: Literal["variable", "name", "both", "fixed"] = Field(
        "both", description="what says the month; with both, they must agree"
    )
    fixed_month: str | None = Field(None, description="the month, with time: fixed (YYYY-MM)")
    time_names: tuple[str, ...] = Field(
        ("time",), description="names of the time variable, tried in this order"
    )
    latitude: tuple[str, ...] = Field(
        ("lat", "latitude", "y"), description="names of the latitudes, tried in this order"
    )
    longitude: tuple[str, ...] = Field(
        ("lon", "longitude", "x"), description="names of the longitudes, tried in this order"
    )
    rows: Literal["north-first", "south-first"] | None = Field(
        None,
        description="order of the rows in a file without coordinates, whose bounds are the grid's",
    )

    @field_validator("quantities")
    @classmethod
    def _quantities_are_known(cls, value: dict[str, Variable]) -> dict[str, Variable]:
        unknown = sorted(set(value) - set(QUANTITIES))
        if unknown:
            known = ", ".join(sorted(QUANTITIES))
            raise ValueError(f"{', '.join(unknown)}: not among {known}")
        for name, variable in value.items():
            if (name == FLUX) != (variable.positive is not None):
                raise ValueError("positive belongs to fco2, and to nothing else")
        return value

    @model_validator(mode="after")
    def _parts_fit(self) -> "ProductSpecification":
        if bool(self.quantities) == (self.table is not None):
            raise ValueError("give quantities, or a table")
        if self.table is not None and self.table.quantity not in QUANTITIES:
            raise ValueError(f"table.quantity must be one of {', '.join(sorted(QUANTITIES))}")
        if (self.time == "fixed") != (self.fixed_month is not None):
            raise ValueError("fixed_month goes with time: fixed")
        if self.fixed_month is not None:
            _month_text(self.fixed_month)
        if FLUX in self.quantities and self.quantities[FLUX].uncertainty is None:
            raise ValueError("quantities.fco2.uncertainty is needed")
        for names in self._name_patterns:
            names.check(self.holds, dated=self.time != "fixed")
        return self

    @property
    def delivers(self) -> tuple[str, ...]:
        """Names of the quantities in the files."""
        return (self.table.quantity,) if self.table is not None else tuple(self.quantities)

    @property
    def uncertainty(self) -> float:
        """Standard deviation of an observed flux whose file states none, mmol m-2 d-1."""
        stated = self.quantities[FLUX].uncertainty
        assert stated is not None
        return stated

    @cached_property
    def _name_patterns(self) -> tuple[FileNames, ...]:
        patterns = (self.file_pattern, self.preliminary_pattern)
        return tuple(FileNames(pattern) for pattern in patterns if pattern is not None)

    def matches(self, file_name: str) -> bool:
        """Return whether a file of this name is one of the product."""
        return any(names.match(file_name) is not None for names in self._name_patterns)

    def month_of(self, file_name: str) -> Month | None:
        """Return the month that a file name says; None if it says none, or is of no such file."""
        if self.fixed_month is not None:
            return month(self.fixed_month) if self.matches(file_name) else None
        return next(filter(None, (n.month_of(file_name) for n in self._name_patterns)), None)

    def may_hold(self, file_name: str, wanted: Month) -> bool:
        """Return whether a file of this name may hold a month, as far as the name says."""
        said = self.month_of(file_name)
        if said is not None:
            return said == wanted
        return any(names.allows(file_name, wanted) for names in self._name_patterns)

    def stage_of(self, file_name: str) -> Stage:
        """Return whether a file of this name is final or preliminary."""
        if self._name_patterns[0].match(file_name) is None and len(self._name_patterns) > 1:
            return "preliminary"
        return self.stage

    def file_name(self, wanted: Month) -> str:
        """Return the name that this product's file of a month has; a * in it stays."""
        return self._name_patterns[0].file_name(wanted)


class DerivedProduct(_Product):
    """A flux that is computed from the months of other products, its drivers."""

    drivers: dict[str, str] = Field(
        min_length=1, description="the product that delivers each quantity, by quantity"
    )
    flux: FluxOptions = Field(FluxOptions(), description="how the flux is computed")
    uncertainty: float = Field(
        3.0, gt=0, description="standard deviation of a cell without one, mmol m-2 d-1"
    )

    @field_validator("drivers")
    @classmethod
    def _drivers_are_known(cls, value: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(value) - (set(QUANTITIES) - {FLUX}))
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no driver of a flux")
        return value

    @model_validator(mode="after")
    def _drivers_suffice(self) -> "DerivedProduct":
        missing = missing_drivers(self.drivers, self.flux)
        if missing:
            raise ValueError(f"drivers: {'; '.join(missing)} is needed")
        return self


Product = ProductSpecification | DerivedProduct


def _month_text(value: str) -> str:
    try:
        return str(month(value))
    except InvalidMonthError as error:
        raise ValueError(f"{value!r} is no month (YYYY-MM)") from error


def problems(error: ValidationError) -> str:
    """Return what a validation found as one line: where, and what is wrong there."""
    lines = []
    for item in error.errors():
        # The kind of a grid that was tried is no part of what the user wrote.
        words = [str(part) for part in item["loc"] if not re.match(r"[A-Z]", str(part))]
        lines.append(f"{'.'.join(words) or 'the file'}: {item['msg']}")
    return "; ".join(dict.fromkeys(lines))


def _grid(value: str | GridDeclaration) -> Grid:
    return grid_named(value) if isinstance(value, str) else Grid(**value.model_dump())
