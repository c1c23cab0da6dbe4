"""docs/products.md says what the code takes.

Rewrite its generated parts with:
TIDENET_REWRITE_DOCS=1 python -m pytest tests/ingest/test_product_document.py
"""

import datetime as dt
import os
import re
from pathlib import Path

import pytest
from services.product_document import SECTIONS, rewritten
from services.product_files import good_dataset

from ingest.inspection.suggest import suggest
from storage.grid import Grid

DOCUMENT = Path(__file__).parents[2] / "docs" / "products.md"


def test_the_document_has_every_key_as_the_code_has_it() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    made = rewritten(text)
    if os.environ.get("TIDENET_REWRITE_DOCS"):
        DOCUMENT.write_text(made, encoding="utf-8")
        return
    assert text == made, (
        "docs/products.md is out of date: "
        "TIDENET_REWRITE_DOCS=1 python -m pytest tests/ingest/test_product_document.py"
    )


@pytest.mark.parametrize("title", [title for title, _ in SECTIONS])
def test_every_key_is_explained(title: str) -> None:
    model = dict(SECTIONS)[title]
    silent = [k for k, f in model.model_fields.items() if k != "kind" and not f.description]
    assert not silent


def test_the_worked_example_is_what_the_command_suggests(tmp_path: Path) -> None:
    """A small file that states neither units nor its fill value, as in the document."""
    dataset = good_dataset(Grid("example", 25.0, 120.0, 0.5, 16, 14))
    for attribute in ("units", "_FillValue"):
        del dataset["fco2"].attrs[attribute]
    path = tmp_path / "SEA_flux_201801.nc"
    dataset.to_netcdf(path, engine="h5netcdf")
    text = suggest(path, path.name, now=dt.datetime(2026, 1, 15, tzinfo=dt.UTC))
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert example.strip() == text[text.index("title:") :].strip()
