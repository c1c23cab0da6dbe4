"""The generated parts of docs/products.md: every key of a specification, and the shipped products.

Rewrite them with: TIDENET_REWRITE_DOCS=1 python -m pytest tests/ingest/test_product_document.py
"""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ingest.catalogue import list_products
from ingest.flux.options import FluxOptions
from ingest.quantities import QUANTITIES
from ingest.sources.sections import CopernicusMarineSource, EarthdataSource, LandingSource
from ingest.specification import (
    Band,
    DerivedProduct,
    Flags,
    GridDeclaration,
    Limits,
    Mask,
    Product,
    ProductSpecification,
    TableLayout,
    Variable,
)

SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("A product that is delivered as files", ProductSpecification),
    ("A flux that is computed from other products", DerivedProduct),
    ("`grid`, `record_grid`", GridDeclaration),
    ("`quantities.<name>`", Variable),
    ("`quantities.<name>.flags`", Flags),
    ("`table`", TableLayout),
    ("`table.bands`", Band),
    ("`mask`", Mask),
    ("`limits`", Limits),
    ("`source`, `kind: landing`", LandingSource),
    ("`source`, `kind: copernicus-marine`", CopernicusMarineSource),
    ("`source`, `kind: earthdata`", EarthdataSource),
    ("`flux`", FluxOptions),
)


def keys() -> str:
    """Return a table of keys for each section of a specification."""
    return "\n".join(line for title, model in SECTIONS for line in _section(title, model)).strip()


def quantities() -> str:
    """Return a table of the quantities that a product can deliver."""
    rows = (
        f"| `{q.name}` | {q.title} | {q.units} | {q.low:g} to {q.high:g} |"
        for q in QUANTITIES.values()
    )
    return "\n".join(["| quantity | what | units | possible |", "|---|---|---|---|", *rows])


def products() -> str:
    """Return a table of the shipped products."""
    lines = ["| product | delivers | grid | a file holds | named like |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(_row(product) for product in list_products())])


def _section(title: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"### {title}\n"
    yield f"{(model.__doc__ or '').strip().splitlines()[0]}\n"
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    for key, field in model.model_fields.items():
        if key != "kind":
            yield f"| `{key}` | {_default(field)} | {_escaped(field.description or '')} |"
    yield ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value: Any = field.default
    if value is None or value == () or value == "" or value == {}:
        return ""
    if isinstance(value, BaseModel):
        return "see below"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def _row(product: Product) -> str:
    grid = f"{product.target_grid.step:.3g}°"
    if isinstance(product, DerivedProduct):
        drivers = ", ".join(f"`{name}`" for name in sorted(set(product.drivers.values())))
        return f"| `{product.name}` | fco2 | {grid} | computed from {drivers} | |"
    delivers = ", ".join(product.delivers)
    pattern = _escaped(f"`{product.file_pattern}`")
    return f"| `{product.name}` | {delivers} | {grid} | {product.holds} | {pattern} |"


def _escaped(text: str) -> str:
    return re.sub(r"\|", r"\\|", text)


PARTS = {"keys": keys, "quantities": quantities, "products": products}


def rewritten(document: str) -> str:
    """Return the document with its generated parts made anew."""
    for name, part in PARTS.items():
        begin, end = f"<!-- generated: {name} -->", "<!-- end -->"
        before, found, rest = document.partition(begin)
        assert found, f"docs/products.md has no part {begin}"
        document = f"{before}{begin}\n{part()}\n{end}{rest.partition(end)[2]}"
    return document
