"""Product specifications: everything that is particular to a product, in one YAML file each.

A user adds a product by writing such a file into a folder (``TIDENET_PRODUCTS_FOLDER``); no code.
"""

import re
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ingest.errors import InvalidSpecificationError, UnknownProductError
from storage.grid import GRIDS, Grid, grid_named
from storage.months import Month, month

PLACEHOLDERS = {"{year}": r"(?P<year>\d{4})", "{month}": r"(?P<month>0[1-9]|1[0-2])"}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GridDeclaration(_Section):
    """A grid of the user's own, cell-centred, in degrees."""

    name: str
    south: float = Field(ge=-90, le=90, description="south edge of the first row")
    west: float = Field(ge=-180, le=360, description="west edge of the first column")
    step: float = Field(gt=0, le=10, description="cell size in both directions")
    n_lat: int = Field(ge=4, description="rows")
    n_lon: int = Field(ge=4, description="columns")


class Mask(_Section):
    """Where the record's ocean mask comes from when the record is begun."""

    variable: str | None = Field(
        None, description="variable of the first file that is not zero on ocean cells"
    )
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


class ProductSpecification(_Section):
    """A product that delivers monthly maps of the sea-air CO2 flux."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    file_pattern: str = Field(
        description="file name with {year} and {month}, and perhaps a * for a version"
    )
    grid: str | GridDeclaration = Field(description="name of a declared grid, or a grid")
    variables: tuple[str, ...] = Field(min_length=1, description="names tried, in this order")
    units_if_missing: str | None = Field(
        None, description="units of a file that states none; without it such a file is refused"
    )
    positive: Literal["up", "down"] = Field(
        description="up: positive out of the sea; down: positive into the sea"
    )
    uncertainty_variables: tuple[str, ...] = ()
    uncertainty: float = Field(
        gt=0, description="one standard deviation of an observed cell without one, mmol m-2 d-1"
    )
    fill_values: tuple[float, ...] = Field(
        (), description="values that mean missing, besides those that the file declares"
    )
    time: Literal["variable", "name", "both"] = Field(
        "both", description="what says the month; both must agree"
    )
    latitude: tuple[str, ...] = ("lat", "latitude", "y")
    longitude: tuple[str, ...] = ("lon", "longitude", "x")
    mask: Mask = Mask()
    limits: Limits = Limits()
    latency_days: int | None = Field(
        None, ge=0, description="days after a month's end by which it is there; None: no promise"
    )
    start: str | None = Field(None, description="first month of the record (YYYY-MM)")
    licence: str = ""
    citation: str = ""

    @field_validator("file_pattern")
    @classmethod
    def _pattern_names_the_month(cls, value: str) -> str:
        for placeholder in PLACEHOLDERS:
            if value.count(placeholder) != 1:
                raise ValueError(f"must contain {placeholder} once")
        return value

    @field_validator("grid")
    @classmethod
    def _grid_is_declared(cls, value: str | GridDeclaration) -> str | GridDeclaration:
        if isinstance(value, str) and value not in GRIDS:
            raise ValueError(f"must be one of {', '.join(sorted(GRIDS))}, or south, west, ...")
        return value

    @field_validator("start")
    @classmethod
    def _start_is_a_month(cls, value: str | None) -> str | None:
        return None if value is None else str(month(value))

    @cached_property
    def target_grid(self) -> Grid:
        """The grid of the product and of the record that it extends."""
        if isinstance(self.grid, str):
            return grid_named(self.grid)
        return Grid(**self.grid.model_dump())

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        text = re.escape(self.file_pattern)
        for placeholder, expression in PLACEHOLDERS.items():
            text = text.replace(re.escape(placeholder), expression)
        return re.compile(text.replace(re.escape("*"), ".*"))

    def month_of(self, file_name: str) -> Month | None:
        """Return the month that a file name says, or None if it is not one of this product."""
        match = self._expression.fullmatch(file_name)
        return None if match is None else month(f"{match['year']}-{match['month']}")

    def file_name(self, wanted: Month) -> str:
        """Return the name that this product's file of a month has; a * in it stays."""
        year, number = str(wanted).split("-")
        return self.file_pattern.replace("{year}", year).replace("{month}", number)


def load_product(name: str, folder: Path | None = None) -> ProductSpecification:
    """Return a product specification by name; the user's folder comes before the shipped ones.

    Raises
    ------
    UnknownProductError
        If there is none; the message lists those that there are.
    InvalidSpecificationError
        If the file cannot be read or says something impossible; all problems are listed.
    """
    texts = _texts(folder)
    if name not in texts:
        raise UnknownProductError(
            "No product specification has this name.",
            found=repr(name),
            expected=", ".join(sorted(texts)),
            remedy="Choose one of these, or write a YAML file and set TIDENET_PRODUCTS_FOLDER.",
        )
    return parse_product(name, texts[name])


def list_products(folder: Path | None = None) -> list[ProductSpecification]:
    """Return every product specification, by name. Raises as `load_product`."""
    return [parse_product(name, text) for name, text in sorted(_texts(folder).items())]


def parse_product(name: str, text: str) -> ProductSpecification:
    """Return the product specification of a YAML text. Raises InvalidSpecificationError."""
    try:
        content = yaml.safe_load(text)
        if not isinstance(content, dict):
            raise TypeError("the file is not a mapping of names to values")
        return ProductSpecification.model_validate({"name": name} | content)
    except pydantic.ValidationError as error:
        found = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors()
        )
    except (yaml.YAMLError, TypeError) as error:
        found = " ".join(str(error).split())
    raise InvalidSpecificationError(
        f"The product specification {name!r} is not valid.",
        found=found,
        expected=f"a mapping with the keys {', '.join(ProductSpecification.model_fields)}",
        remedy="Correct the YAML file; the shipped ones in ingest/products are examples.",
    )


def _texts(folder: Path | None) -> dict[str, str]:
    shipped = files("ingest").joinpath("products")
    texts = {
        item.name.removesuffix(".yaml"): item.read_text(encoding="utf-8")
        for item in shipped.iterdir()
        if item.name.endswith(".yaml")
    }
    if folder is not None:
        if not folder.is_dir():
            raise InvalidSpecificationError(
                "The folder of product specifications does not exist.",
                found=str(folder),
                remedy="Make it, or correct TIDENET_PRODUCTS_FOLDER.",
            )
        texts |= {file.stem: file.read_text(encoding="utf-8") for file in folder.glob("*.yaml")}
    return texts
