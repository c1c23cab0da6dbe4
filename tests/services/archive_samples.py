"""Small, valid things to put into the archive: a test changes the one that it is about."""

import datetime as dt
import hashlib
from typing import Any

import numpy as np
from sqlalchemy import Engine, func, select

from storage import (
    archive,
    drift_checks,
    handovers,
    input_drift_checks,
    ledger,
    observations,
    registry,
)
from storage.database import reading
from storage.grid import Grid
from storage.months import month
from storage.regions import REGIONS
from storage.tables import Table

NOW = dt.datetime(2020, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
BUILT_IN = {region.name: region for region in REGIONS}
TINY = Grid("tiny", south=25, west=120, step=0.5, n_lat=12, n_lon=10)


def sha256(text: str) -> str:
    """Return a digest to stand for some bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def later(hours: float) -> dt.datetime:
    """Return a time after `NOW`."""
    return NOW + dt.timedelta(hours=hours)


def file_seen(name: str = "2018-01", content: str = "first", **changes: Any) -> ledger.FileSeen:
    """Return a file of a month."""
    values: dict[str, Any] = {
        "product": "test-product",
        "url": f"/landing/{name}.nc",
        "file_name": f"{name}.nc",
        "size_bytes": 1000,
        "sha256": sha256(name + content),
        "month": month(name),
        "seen_at": NOW,
    }
    return ledger.FileSeen(**values | changes)


def input_file(quantity: str = "pco2", **changes: Any) -> ledger.InputFile:
    """Return one of the files that a month was computed from."""
    values: dict[str, Any] = {
        "quantity": quantity,
        "product": f"{quantity}-product",
        "url": f"/landing/{quantity}.nc",
        "file_name": f"{quantity}.nc",
        "size_bytes": 500,
        "sha256": sha256(quantity),
    }
    return ledger.InputFile(**values | changes)


def check(name: str = "range", passed: bool = True, **changes: Any) -> ledger.CheckResult:
    """Return a check's result."""
    values: dict[str, Any] = {
        "name": name,
        "kind": "statistical",
        "severity": "warning",
        "passed": passed,
        "found": "1",
        "expected": "0 to 2",
        "message": "" if passed else "out of range",
    }
    return ledger.CheckResult(**values | changes)


def committed(name: str = "2018-01", revision: int = 1, **changes: Any) -> ledger.MonthCommitted:
    """Return a month's commit."""
    values: dict[str, Any] = {
        "month": month(name),
        "revision": revision,
        "snapshot_id": f"SNAP-{name}-{revision}",
        "content_hash": sha256(f"{name} content {revision}"),
        "n_ocean": 100,
        "n_observed": 80,
        "n_completed": 20,
        "committed_at": NOW,
    }
    return ledger.MonthCommitted(**values | changes)


def accept(
    engine: Engine,
    name: str = "2018-01",
    revision: int = 1,
    *,
    stage: ledger.Stage = "final",
    inputs: tuple[ledger.InputFile, ...] = (),
    **changes: Any,
) -> int:
    """Put a month into the ledger and return the key of its revision."""
    file = file_seen(
        name, content=f"bytes {revision}", seen_at=later(revision), stage=stage, inputs=inputs
    )
    return ledger.record_accepted(
        engine,
        file,
        [check("readable", kind="structural", severity="error"), check("range")],
        committed(name, revision, **changes),
    )


def handover_fitted(shift: float = 0.5, **changes: Any) -> handovers.HandOverFitted:
    """Return a hand-over of two regions and two calendar months."""
    terms = tuple(
        handovers.HandOverTerm(region, calendar_month, 1.1, shift, 5, 800, 0.75)
        for region in ("elsewhere", "yellow-sea")
        for calendar_month in (1, 7)
    )
    values: dict[str, Any] = {
        "old_product": "old",
        "new_product": "new",
        "grid": "tiny",
        "overlap_first": month("2014-01"),
        "overlap_last": month("2018-12"),
        "n_months": 60,
        "rmse_before": 2.5,
        "rmse_after": 0.8,
        "parameters": {"old_product": "old", "new_product": "new", "shifts": [shift, -shift]},
        "snapshot_id": "SNAP-2018-02-1",
        "fitted_at": NOW,
        "fitted_by": "tidenet handover",
        "terms": terms,
    }
    return handovers.HandOverFitted(**values | changes)


def model_version(version: str = "tidenet-1", **changes: Any) -> registry.ModelVersion:
    """Return a model."""
    values: dict[str, Any] = {
        "version": version,
        "method": "tidenet",
        "grid": "tiny",
        "weights_url": f"/models/{version}",
        "weights_sha256": sha256(version),
        "snapshot_id": "SNAP-2017-12-1",
        "trained_from": month("2010-01"),
        "trained_until": month("2017-12"),
        "validated_from": month("2016-01"),
        "validated_until": month("2017-12"),
        "seed": 7,
        "code_version": "0.1.0",
        "created_at": NOW,
        "config": {"n_history": 6},
        "metrics": {"loss": 0.5},
        "libraries": {"torch": "2.9"},
        "hardware": "CPU",
    }
    return registry.ModelVersion(**values | changes)


def promotion_figure(**changes: Any) -> registry.PromotionFigure:
    """Return a candidate beside damped persistence over all leads."""
    values: dict[str, Any] = {
        "rival": "damped-persistence",
        "lead_months": 0,
        "n_months": 19,
        "first_init_month": month("2015-12"),
        "last_init_month": month("2017-06"),
        "rmse": 1.25,
        "rmse_rival": 1.5,
        "difference": 0.125,
        "low": 0.0625,
        "high": 0.1875,
        "passed": True,
    }
    return registry.PromotionFigure(**values | changes)


def drift_check(**changes: Any) -> drift_checks.DriftCheck:
    """Return a look at a model that forecasts as well as its hindcast."""
    values: dict[str, Any] = {
        "model_version": "tidenet-1",
        "first_valid_month": month("2018-02"),
        "last_valid_month": month("2018-05"),
        "n_months": 4,
        "n_hindcast_months": 24,
        "msss": 0.25,
        "msss_hindcast": 0.3125,
        "level": 0.0625,
        "level_limit": 0.25,
        "drifting": False,
        "retraining_due": False,
        "reason": "As good as its hindcast.",
        "checked_at": NOW,
    }
    return drift_checks.DriftCheck(**values | changes)


def input_drift_check(**changes: Any) -> input_drift_checks.InputDriftCheck:
    """Return a look at a model whose input is like that of its training."""
    values: dict[str, Any] = {
        "model_version": "tidenet-1",
        "statistic": "mean",
        "first_month": month("2018-01"),
        "last_month": month("2018-02"),
        "n_months": 2,
        "n_training_months": 96,
        "level": 0.25,
        "level_limit": 0.75,
        "drifting": False,
        "reason": "Like its training.",
        "checked_at": NOW,
    }
    return input_drift_checks.InputDriftCheck(**values | changes)


def forecast_run(month_revision_id: int, run_id: str = "", **changes: Any) -> archive.ForecastRun:
    """Return a run of two leads from 2018-01."""
    run_id = run_id or archive.new_run_id()
    values: dict[str, Any] = {
        "id": run_id,
        "init_month": month("2018-01"),
        "n_leads": 2,
        "n_members": 20,
        "model_version": "tidenet-1",
        "snapshot_id": "SNAP-2018-01-1",
        "month_revision_id": month_revision_id,
        "seed": 1,
        "issued_kind": "live",
        "created_at": NOW,
        "fields_url": f"/predictions/{run_id}.zarr",
        "fields_sha256": sha256(run_id),
        "code_version": "0.1.0",
        "idempotency_key": f"key of {run_id}",
        "duration_s": 1.5,
        "libraries": {"torch": "2.9"},
        "hardware": "CPU",
    }
    return archive.ForecastRun(**values | changes)


def regional_rows(
    n_leads: int = 2, regions: tuple[str, ...] = ("all", "yellow-sea"), **changes: Any
) -> archive.RegionalRows:
    """Return predictions by region: mean -5, and one unit between the quantiles."""
    shape = (n_leads, len(regions))
    steps = np.array([-7.0, -6.0, -5.0, -4.0, -3.0])
    values: dict[str, Any] = {
        "regions": tuple(BUILT_IN[name] for name in regions),
        "area_m2": np.linspace(1e11, 2e11, len(regions)),
        "mean": np.full(shape, -5.0),
        "spread": np.full(shape, 1.5),
        "quantiles": np.tile(steps[None, :, None], (n_leads, 1, len(regions))),
        "p_source": np.full(shape, 0.25),
        "climatology": np.full(shape, -4.5),
        "damped_persistence": np.full(shape, -4.75),
    }
    return archive.RegionalRows(**values | changes)


def yearly_rows(
    n_leads: int = 2, regions: tuple[str, ...] = ("all", "yellow-sea"), **changes: Any
) -> archive.YearlyRows:
    """Return sums of a run from 2018-01: one year, one unit between the quantiles."""
    shape = (1, len(regions))
    steps = np.array([-3.0, -2.0, -1.0, 0.0, 1.0])
    values: dict[str, Any] = {
        "regions": tuple(BUILT_IN[name] for name in regions),
        "years": (2018,),
        "n_months": (n_leads,),
        "mean": np.full(shape, -1.0),
        "spread": np.full(shape, 1.25),
        "quantiles": np.tile(steps[None, :, None], (1, 1, len(regions))),
    }
    return archive.YearlyRows(**values | changes)


def observed_rows(
    revision_id: int,
    name: str = "2018-02",
    regions: tuple[str, ...] = ("all", "yellow-sea"),
    **changes: Any,
) -> observations.ObservedRows:
    """Return what the record holds of a month: -4.25 everywhere, three quarters of it observed."""
    n = len(regions)
    values: dict[str, Any] = {
        "month_revision_id": revision_id,
        "month": month(name),
        "created_at": NOW,
        "regions": tuple(BUILT_IN[name] for name in regions),
        "area_m2": np.linspace(1e11, 2e11, n),
        "mean": np.full(n, -4.25),
        "uncertainty": np.full(n, 0.5),
        "observed_share": np.full(n, 0.75),
        "grid": TINY,
        "index": np.arange(30),
        "cell_area_m2": TINY.cell_area.ravel()[:30],
        "cell_mean": np.full(30, -4.25),
        "cell_observed_share": np.full(30, 0.75),
    }
    return observations.ObservedRows(**values | changes)


def cell_rows(n_leads: int = 2, n_cells: int = 30, grid: Grid = TINY) -> archive.CellRows:
    """Return predictions of the first cells of a grid, all of them different."""
    rng = np.random.default_rng(0)
    mean = rng.normal(-5, 2, (n_leads, n_cells)).astype(np.float32)
    steps = np.array([-2, -1, 0, 1, 2], dtype=np.float32)
    return archive.CellRows(
        grid=grid,
        index=np.arange(n_cells),
        area_m2=grid.cell_area.ravel()[:n_cells],
        mean=mean,
        spread=np.ones_like(mean),
        quantiles=mean[:, None, :] + steps[None, :, None],
        p_source=np.full_like(mean, 0.1),
        climatology=np.full_like(mean, -4.5),
        damped_persistence=np.full_like(mean, -4.75),
    )


def score_row(run_id: str, revision_id: int, **changes: Any) -> archive.ScoreRow:
    """Return score sums of lead 1 (2018-02) over the whole sea."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "lead_months": 1,
        "region": "all",
        "valid_month": month("2018-02"),
        "month_revision_id": revision_id,
        "n_cells": 10,
        "weight_sum": 100.0,
        "se_model": 100.0,
        "se_climatology": 400.0,
        "se_persistence": 200.0,
        "se_damped_persistence": 125.0,
        "error": 50.0,
        "abs_error": 80.0,
        "crps": 30.0,
        "crps_climatology": 60.0,
        "fa_oa": 90.0,
        "fa_sq": 100.0,
        "oa_sq": 400.0,
        "fa": 0.0,
        "oa": 0.0,
        "inside_50": 40.0,
        "inside_90": 85.0,
        "created_at": NOW,
    }
    return archive.ScoreRow(**values | changes)


def fill(engine: Engine) -> tuple[str, int]:
    """Fill an empty archive with one of everything; return run id and revision of the init month.

    The run starts from 2018-01; the valid month of its first lead, 2018-02, is in the ledger too.
    """
    revision_id = accept(engine, "2018-01")
    handover_id = handovers.record_handover(engine, handover_fitted())
    inputs = (input_file("pco2"), input_file("wind"))
    observed_id = accept(
        engine, "2018-02", stage="preliminary", inputs=inputs, handover_id=handover_id
    )
    registry.register_model(engine, model_version())
    registry.record_promotion(
        engine,
        registry.Promotion(
            "tidenet-1",
            True,
            "the first model",
            "tidenet train",
            NOW,
            figures=(promotion_figure(),),
        ),
    )
    drift_checks.record_drift_check(engine, drift_check())
    input_drift_checks.record_input_drift_check(engine, input_drift_check())
    run = forecast_run(revision_id)
    inputs = ledger.latest_months(engine, until=month("2018-01"))
    archive.write_run(
        engine, run, regional_rows(), cell_rows(), yearly=yearly_rows(), inputs=inputs
    )
    observations.write_observation(engine, observed_rows(observed_id))
    return run.id, revision_id


def row_counts(engine: Engine, without: tuple[str, ...] = ()) -> dict[str, int]:
    """Return the number of rows of each table, some left out."""
    with reading(engine) as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in Table.metadata.tables.items()
            if name not in without
        }
