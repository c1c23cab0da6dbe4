"""Exported rows: all columns of the archive's views, as they are; and which run is meant."""

import csv
import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from services import archive_samples as samples
from services.small_loop import NOW
from sqlalchemy import Engine, select

from flows.operations import export_tables
from flows.operations.export import Exported, export
from flows.operations.export_files import Format, Rows
from flows.operations.named_run import AmbiguousRunError, find_run
from flows.operations.workspace import Workspace
from storage import archive as forecasts
from storage.archive import UnknownRunError
from storage.database import reading
from storage.months import month
from storage.registry import model
from storage.settings import Settings
from storage.views import VIEWS

VIEW = {Rows.CELLS: "forecast_cells", Rows.REGIONS: "forecasts"}
READ: dict[type, Callable[[str], Any]] = {
    str: str,
    int: int,
    float: float,
    bool: {"true": True, "false": False}.__getitem__,
    dt.date: dt.date.fromisoformat,
    dt.datetime: dt.datetime.fromisoformat,
}
PLACE = {Rows.CELLS: "cell_index", Rows.REGIONS: "region"}


def workspace(engine: Engine, home: Path) -> Workspace:
    url = engine.url.render_as_string(hide_password=False)
    return Workspace(Settings(home=home, database=url, _env_file=None), now=lambda: NOW)


@pytest.fixture(params=Rows)
def rows(request: pytest.FixtureRequest) -> Rows:
    return Rows(request.param)


@pytest.fixture
def filled(archive: Engine) -> str:
    run_id, _ = samples.fill(archive)
    return run_id


def expected_rows(engine: Engine, run_id: str, rows: Rows) -> list[dict[str, Any]]:
    """Return the run's rows as the view gives them, months as dates."""
    view = VIEWS.tables[VIEW[rows]]
    query = (
        select(view)
        .where(view.c.run_id == run_id)
        .order_by(view.c.lead_months, view.c[PLACE[rows]])
    )
    with reading(engine) as connection:
        found = connection.execute(query).mappings().all()

    def plain(value: Any) -> Any:
        is_month = isinstance(value, np.datetime64)
        return value.astype("datetime64[D]").astype(object) if is_month else value

    return [{name: plain(value) for name, value in row.items()} for row in found]


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]], rows: Rows) -> None:
    """Compare rows; numbers of cells are single precision, those of regions double."""
    assert len(found) == len(expected) > 0
    exact = np.float32 if rows is Rows.CELLS else np.float64
    for row, wanted in zip(found, expected, strict=True):
        assert list(row) == list(wanted)
        for name, value in wanted.items():
            if isinstance(value, float) and name not in ("lat", "lon", "area_m2"):
                assert exact(row[name]) == exact(value), name
            else:
                assert row[name] == value, name


# --- rows -----------------------------------------------------------------------------------------


def test_parquet_holds_the_rows_as_they_are(
    archive: Engine, filled: str, tmp_path: Path, rows: Rows
) -> None:
    [path] = export(
        workspace(archive, tmp_path), form=Format.PARQUET, rows=rows, to=tmp_path / "run.parquet"
    )
    found = pq.read_table(path).to_pylist()
    assert_same(found, expected_rows(archive, filled, rows), rows)
    assert pd.read_parquet(path)["mean"].dtype == ("float32" if rows is Rows.CELLS else "float64")


def test_parquet_says_what_the_columns_mean_and_where_they_come_from(
    archive: Engine, filled: str, tmp_path: Path, rows: Rows
) -> None:
    [path] = export(
        workspace(archive, tmp_path), form=Format.PARQUET, rows=rows, to=tmp_path / "run.parquet"
    )
    schema = pq.read_schema(path)
    for column in VIEWS.tables[VIEW[rows]].c:
        assert schema.field(column.name).metadata[b"comment"].decode() == column.comment
    units = {name: (schema.field(name).metadata or {}).get(b"units") for name in schema.names}
    for name in ("mean", "spread", "q05", "q95", "climatology", "damped_persistence", "anomaly"):
        assert units[name] == b"mmol m-2 d-1"
    assert (units["area_m2"], units["p_source"], units["run_id"]) == (b"m2", b"1", None)
    if rows is Rows.CELLS:
        assert (units["lat"], units["lon"]) == (b"degrees_north", b"degrees_east")
    else:
        assert units["flux_tgc_q05"] == b"Tg C per month"
    said = {name.decode(): value.decode() for name, value in schema.metadata.items()}
    assert said["run_id"] == filled
    assert said["weights_sha256"] == samples.sha256("tidenet-1")
    assert said["snapshot_id"] == "SNAP-2018-01-1"
    assert said["fields_sha256"] == samples.sha256(filled)


def test_csv_holds_the_rows_with_all_their_digits(
    archive: Engine, filled: str, tmp_path: Path, rows: Rows
) -> None:
    [path] = export(
        workspace(archive, tmp_path), form=Format.CSV, rows=rows, to=tmp_path / "run.csv"
    )
    header, first, *_ = path.read_text().splitlines()
    assert header == ",".join(VIEWS.tables[VIEW[rows]].c.keys())
    assert re.search(r",2018-01-01,live,2020-02-03T04:05:06(\.0+)?Z,", first)
    expected = expected_rows(archive, filled, rows)
    with path.open(newline="") as file:
        found = [
            {name: READ[type(wanted[name])](text) for name, text in row.items()}
            for row, wanted in zip(csv.DictReader(file), expected, strict=True)
        ]
    assert_same(found, expected, rows)


@pytest.mark.parametrize("form", [Format.PARQUET, Format.CSV])
def test_rows_come_in_batches(
    archive: Engine,
    filled: str,
    tmp_path: Path,
    form: Format,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = workspace(archive, tmp_path)
    [whole] = export(place, form=form, to=tmp_path / "whole")
    sizes = []
    batch = export_tables._batch

    def counted(part: Any, schema: Any) -> Any:
        sizes.append(len(part))
        return batch(part, schema)

    monkeypatch.setattr(export_tables, "N_BATCH", 7)
    monkeypatch.setattr(export_tables, "_batch", counted)
    [parts] = export(place, form=form, to=tmp_path / "parts")
    assert sizes == [7, 7, 7, 7, 2] * 2
    if form is Format.CSV:
        assert parts.read_bytes() == whole.read_bytes()
    else:
        assert pq.read_table(parts).equals(pq.read_table(whole))


def test_rows_of_other_runs_stay_out(archive: Engine, tmp_path: Path, rows: Rows) -> None:
    run_id, revision_id = samples.fill(archive)
    other = samples.forecast_run(revision_id, model_version="tidenet-1")
    forecasts.write_run(archive, other, samples.regional_rows(), samples.cell_rows())
    for wanted in (run_id, other.id):
        [path] = export(
            workspace(archive, tmp_path), wanted, form=Format.CSV, rows=rows, to=tmp_path / wanted
        )
        assert set(pd.read_csv(path)["run_id"]) == {wanted}


def test_a_run_without_cells_is_named_and_nothing_is_left(archive: Engine, tmp_path: Path) -> None:
    _, revision_id = samples.fill(archive)
    run = samples.forecast_run(revision_id)
    forecasts.write_run(archive, run, samples.regional_rows())
    place = workspace(archive, tmp_path / "home")
    for form in (Format.PARQUET, Format.CSV):
        with pytest.raises(UnknownRunError, match="no cells of this run"):
            export(place, run.id, form=form, to=tmp_path / "target")
        assert not (tmp_path / "target").exists()
    assert export(place, run.id, form=Format.CSV, rows=Rows.REGIONS, to=tmp_path / "target")


# --- what is said about a run ---------------------------------------------------------------------


def test_a_degraded_run_says_so_and_why(archive: Engine) -> None:
    _, revision_id = samples.fill(archive)
    run = samples.forecast_run(revision_id, degraded=True, degraded_reason="a preliminary month")
    said = Exported(run, model(archive, "tidenet-1"), NOW, "tidenet").provenance
    assert (said["degraded"], said["degraded_reason"]) == ("true", "a preliminary month")
    fine = Exported(samples.forecast_run(revision_id), model(archive, "tidenet-1"), NOW, "tidenet")
    assert fine.provenance["degraded"] == "false"
    assert "degraded_reason" not in fine.provenance


# --- which run ------------------------------------------------------------------------------------


def add_run(engine: Engine, revision_id: int, run_id: str, **changes: Any) -> None:
    run = samples.forecast_run(revision_id, run_id, **changes)
    forecasts.write_run(engine, run, samples.regional_rows())


def test_the_newest_run_is_that_of_the_latest_forecast(archive: Engine) -> None:
    with pytest.raises(UnknownRunError, match="holds no run"):
        find_run(archive, "latest")
    first, revision_id = samples.fill(archive)
    add_run(archive, revision_id, "aaaa-hindcast", issued_kind="hindcast")
    assert find_run(archive, "latest").id == first
    # Written later, although its clock says otherwise.
    add_run(archive, revision_id, "aaaa-again", created_at=samples.NOW)
    assert find_run(archive, "latest").id == "aaaa-again"
    later = samples.accept(archive, "2018-03")
    changes = {"init_month": month("2018-03"), "issued_kind": "hindcast"}
    add_run(archive, later, "aaaa-later", **changes)
    assert find_run(archive, "latest").id == "aaaa-later"
    view = VIEWS.tables["forecast_latest"]
    with reading(archive) as connection:
        assert set(connection.execute(select(view.c.run_id)).scalars()) == {"aaaa-later"}


def test_a_run_is_found_by_the_beginning_of_its_id(archive: Engine) -> None:
    first, revision_id = samples.fill(archive)
    for name in ("abcd-1", "abcd-2", "abcd-22", "a%cd-3"):
        add_run(archive, revision_id, name)
    for named, run_id in (
        (first, first),
        (first[:8], first),
        ("abcd-1", "abcd-1"),
        (" abcd-2 ", "abcd-2"),
        ("a%cd", "a%cd-3"),
    ):
        assert find_run(archive, named).id == run_id


@pytest.mark.parametrize("named", ["abcd", "abc", "abcd-"])
def test_an_ambiguous_beginning_is_named_with_its_candidates(archive: Engine, named: str) -> None:
    _, revision_id = samples.fill(archive)
    for name in ("abcd-1", "abcd-2"):
        add_run(archive, revision_id, name)
    with pytest.raises(AmbiguousRunError, match=r"abcd-2.*abcd-1") as caught:
        find_run(archive, named)
    assert "2018-01, live" in caught.value.found


def test_a_beginning_that_is_too_short_is_refused_even_if_only_one_run_has_it(
    archive: Engine,
) -> None:
    first, _ = samples.fill(archive)
    with pytest.raises(AmbiguousRunError, match="4 characters"):
        find_run(archive, first[:3])


@pytest.mark.parametrize("named", ["", "   ", "zzzz", "%%%%", "____", "'; DROP TABLE cells; --"])
def test_an_unknown_run_is_named_with_the_newest_ones(archive: Engine, named: str) -> None:
    first, _ = samples.fill(archive)
    with pytest.raises(UnknownRunError, match=first):
        find_run(archive, named)
