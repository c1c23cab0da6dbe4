"""The notebook of the archive runs on any archive and draws what it promises."""

import base64
import runpy
from pathlib import Path

import pytest
from services.small_loop import World

from flows.operations.backfill import backfill
from flows.operations.forecast import forecast
from flows.operations.verify import verify
from storage.months import month

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOK = DOCS / "notebooks" / "archive.ipynb"


def pictures(node) -> list[bytes]:
    return [
        base64.b64decode(output["data"]["image/png"])
        for cell in node.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]


def test_it_runs_on_an_archive_and_draws_three_pictures(
    trained: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    backfill(trained.workspace, month("2014-03"), month("2014-08"))
    forecast(trained.workspace)
    verify(trained.workspace)
    monkeypatch.setenv("TIDENET_DATABASE", f"sqlite:///{trained.home}/archive.db")
    node = runpy.run_path(str(DOCS / "make_notebook.py"))["run"](NOTEBOOK)
    drawn = pictures(node)
    assert len(drawn) == 3
    assert all(one.startswith(b"\x89PNG") and len(one) > 10_000 for one in drawn)


def test_the_notebook_is_kept_with_what_it_shows() -> None:
    import nbformat

    node = nbformat.read(NOTEBOOK, as_version=4)
    assert len(pictures(node)) == 3
    assert all(cell["execution_count"] for cell in node.cells if cell["cell_type"] == "code")
    assert NOTEBOOK.stat().st_size < 1_000_000
