"""The small made-up archive that the SQL guide and the notebook's pictures are made of.

It holds one of everything that can happen: a revised month, a preliminary one, a rerun, a backfill,
a degraded run, a file in quarantine, a second model that is promoted over the first.
"""

import datetime as dt

import numpy as np
from sqlalchemy import Engine

from benchmarks.archive_generator import Archive, Size, digest
from storage import ledger
from storage.drift_checks import DriftCheck, record_drift_check
from storage.grid import Grid
from storage.handovers import HandOverFitted, HandOverTerm, record_handover
from storage.months import month, month_range
from storage.observations import write_observation
from storage.registry import Promotion, PromotionFigure, record_promotion

GRID = Grid("sample", south=25.0, west=119.0, step=0.5, n_lat=25, n_lon=18)
SIZE = Size(GRID, first_month=month("2014-01"), n_months=54, n_leads=6)


def fill_sample(engine: Engine) -> None:
    """Fill an empty archive with the sample; the same rows each time."""
    archive = Archive(
        engine,
        SIZE,
        np.random.default_rng(20180701),
        began=dt.datetime(2014, 2, 20, 6, 0, tzinfo=dt.UTC),
    )
    first, second = month("2015-12"), month("2017-06")
    for one in month_range(SIZE.first_month, first):
        archive.add_month(one)
    old = archive.add_model(1, first)
    for one in month_range(first + 1, month("2018-06")):
        archive.add_month(one, stage="preliminary" if one == month("2018-06") else "final")
        if one == second:
            new = archive.add_model(2, second)
            _promote(archive, new, old)
        _runs(archive, one, old if one < second else new)
    archive.add_scores(month("2018-06"))
    _incidents(archive, new)


def _runs(archive: Archive, init_month: np.datetime64, model: str) -> None:
    """Make the runs of one month: live, and now and then something out of the ordinary."""
    changes: dict[str, object] = {}
    if init_month == month("2017-02"):
        changes = {"degraded": True, "degraded_reason": "the wind of 2017-02 was preliminary"}
    archive.add_run(init_month, model, **changes)
    if init_month == month("2017-10"):
        # The month comes again with other content, and is forecast from again.
        archive.add_month(init_month, revision=2, days=12)
        archive.add_run(
            init_month, model, days=12.5, reason="what an earlier run had read was revised"
        )
    if init_month == month("2018-01"):
        archive.add_run(month("2016-12"), model, kind="backfill", days=400.0)


def _promote(archive: Archive, new: str, old: str) -> None:
    figures = tuple(
        PromotionFigure(
            rival=rival,
            lead_months=lead,
            n_months=17,
            first_init_month=month("2016-01"),
            last_init_month=month("2017-05"),
            rmse=1.30 + 0.1 * lead,
            rmse_rival=1.34 + 0.12 * lead,
            difference=0.06 - 0.005 * lead,
            low=0.01,
            high=0.11,
            passed=True,
        )
        for rival in ("champion", "climatology", "damped-persistence")
        for lead in (0, 1, 6)
    )
    record_promotion(
        archive.engine,
        Promotion(
            new,
            True,
            "Better than the champion by 0.060 MSSS (90 % interval 0.010 to 0.110).",
            "tidenet train",
            archive.when(month("2017-06"), 2.0),
            previous_champion=old,
            figures=figures,
        ),
    )


def _incidents(archive: Archive, model: str) -> None:
    """Add what has to be seen to, and what was corrected."""
    last = month("2018-06")
    record_drift_check(
        archive.engine,
        DriftCheck(
            model_version=model,
            first_valid_month=month("2017-07"),
            last_valid_month=last,
            n_months=12,
            n_hindcast_months=24,
            msss=0.24,
            msss_hindcast=0.27,
            level=0.05,
            level_limit=0.31,
            drifting=False,
            retraining_due=False,
            reason="As good as its hindcast.",
            checked_at=archive.when(last, 1.5),
        ),
    )
    handover = HandOverFitted(
        old_product="ecs-fco2-1km",
        new_product="ecs-fco2-drivers",
        grid=GRID.name,
        overlap_first=month("2014-01"),
        overlap_last=month("2017-12"),
        n_months=48,
        rmse_before=1.9,
        rmse_after=0.7,
        parameters={"shift": 0.4},
        snapshot_id="SNAPSHOT",
        fitted_at=archive.when(last, 3.0),
        fitted_by="tidenet handover",
        terms=tuple(HandOverTerm("yellow-sea", m, 1.05, 0.4, 4, 96, 0.7) for m in (1, 7)),
    )
    record_handover(archive.engine, handover)
    _corrected_month(archive)
    for number, (status, message, remedy) in enumerate(_OPEN, start=1):
        name = f"ECS_FCO2_monthly_1km_20180{6 + number}.nc"
        seen = ledger.FileSeen(
            product="ecs-fco2-1km",
            url=f"s3://landing/{name}",
            file_name=name,
            size_bytes=1234,
            sha256=digest(name),
            month=last + number,
            seen_at=archive.when(last, 31.0 * number),
        )
        ledger.record_refused(archive.engine, seen, status, [], message=message, remedy=remedy)


_OPEN: tuple[tuple[ledger.Status, str, str], ...] = (
    ("quarantined", "The file is an HTML page, not NetCDF.", "Fetch it again from the provider."),
    ("waiting", "2018-07 is missing before it.", "Nothing: it is taken once 2018-07 is there."),
)


def _corrected_month(archive: Archive) -> None:
    """Revise a month by a file that was computed from several."""
    one = month("2018-03")
    inputs = tuple(
        ledger.InputFile(q, f"{q}-1km", f"s3://landing/{q}.nc", f"{q}_201803.nc", 5000, digest(q))
        for q in ("pco2", "sst", "wind")
    )
    seen = ledger.FileSeen(
        product="ecs-fco2-drivers",
        url="s3://landing/drivers_201803.json",
        file_name="drivers_201803.json",
        size_bytes=700,
        sha256=digest("drivers"),
        month=one,
        seen_at=archive.when(one, 120.0),
        inputs=inputs,
    )
    committed = ledger.MonthCommitted(
        month=one,
        revision=2,
        snapshot_id=digest("corrected")[:20].upper(),
        content_hash=digest("corrected content"),
        n_ocean=450,
        n_observed=405,
        n_completed=45,
        committed_at=archive.when(one, 120.0),
        completion="eof:BASIS:12",
        n_spikes=2,
        handover_id=1,
        reason="another final file of the month",
    )
    key = ledger.record_accepted(archive.engine, seen, [], committed)
    write_observation(archive.engine, archive.observed(one, key, 0.2))
