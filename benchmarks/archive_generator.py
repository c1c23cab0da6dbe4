"""A made-up forecast archive of any size: months, models, runs, observations, scores.

Everything goes in through the archive's own functions. The same size and seed give the same rows:
the SQL guide shows what its questions answer on a small one, the benchmarks ask a large one.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from sqlalchemy import Engine

from storage import ledger
from storage.archive import (
    CellRows,
    ForecastRun,
    IssuedKind,
    RegionalRows,
    ScoreRow,
    Unscored,
    YearlyRows,
    unscored,
    write_run,
    write_scores,
)
from storage.grid import Grid
from storage.months import Month, calendar_months, days_in
from storage.observations import ObservedRows, write_observation
from storage.prediction_rows import TGC_PER_MMOL
from storage.regions import REGIONS, region_masks
from storage.registry import ModelVersion, Promotion, record_promotion, register_model

Z = np.array([-1.645, -0.674, 0.0, 0.674, 1.645])
"""Where a normal distribution has its 5, 25, 50, 75 and 95 % quantiles."""


@dataclass(frozen=True)
class Size:
    """What is in an archive.

    Parameters
    ----------
    grid
        Archive grid; every cell is ocean.
    first_month, n_months
        Months of the record.
    n_leads
        Lead months of a run.
    """

    grid: Grid
    first_month: Month
    n_months: int
    n_leads: int = 6


@dataclass(frozen=True)
class Archive:
    """An archive that is being filled.

    Parameters
    ----------
    engine
        Its database, empty but for the tables.
    size
        What it gets.
    rng
        Makes the numbers.
    began
        When the first month was committed; later rows follow month by month.
    """

    engine: Engine
    size: Size
    rng: np.random.Generator
    began: dt.datetime = dt.datetime(2018, 1, 20, 6, 0, tzinfo=dt.UTC)
    revisions: dict[Month, int] = field(default_factory=dict)

    # --- the sea ------------------------------------------------------------------------------

    @cached_property
    def area(self) -> np.ndarray:
        """Area of each cell (cell,), m2."""
        return self.size.grid.cell_area.ravel()

    @cached_property
    def masks(self) -> dict[str, np.ndarray]:
        """Cells of each region (cell,)."""
        ocean = np.ones(self.size.grid.shape, dtype=bool)
        return {name: m.ravel() for name, m in region_masks(self.size.grid, ocean).items()}

    @cached_property
    def climatology(self) -> np.ndarray:
        """Mean of each calendar month (12, cell), mmol m-2 d-1: a sink that summer weakens."""
        season = np.cos(2 * np.pi * (np.arange(12) - 7) / 12)[:, None]
        north = np.linspace(-1, 1, self.size.grid.n_lat).repeat(self.size.grid.n_lon)[None]
        return (-6.0 + 5.0 * season - 1.5 * north * (1 + season)).astype(np.float32)

    @cached_property
    def anomaly(self) -> np.ndarray:
        """Anomaly of each month (month, cell): red noise, the same within a few cells."""
        n, cells = self.size.n_months, len(self.area)
        series = np.zeros((n, 8))
        for t in range(n):
            series[t] = 0.7 * series[t - 1] + self.rng.normal(0, 1.2, 8)
        return series[:, np.arange(cells) % 8].astype(np.float32)

    def months(self) -> np.ndarray:
        """Return the months of the record, datetime64[M]."""
        return np.arange(self.size.first_month, self.size.first_month + self.size.n_months)

    def when(self, month: Month, days: float = 0.0) -> dt.datetime:
        """Return when a month arrived: 20 days after its end, and so many days later."""
        later = (month - self.size.first_month).astype(int) * 30.4 + days
        return self.began + dt.timedelta(days=float(later))

    def flux(self, month: Month) -> np.ndarray:
        """Return the flux of a month (cell,)."""
        t = (month - self.size.first_month).astype(int)
        mean: np.ndarray = self.climatology[calendar_months(np.array([month]))[0] - 1]
        return mean + self.anomaly[t]

    def by_region(self, values: np.ndarray) -> np.ndarray:
        """Return area means (..., region) of values (..., cell)."""
        means = [
            values[..., mask] @ self.area[mask] / self.area[mask].sum()
            for mask in self.masks.values()
        ]
        return np.stack(means, axis=-1)

    # --- rows ---------------------------------------------------------------------------------

    def add_month(
        self, month: Month, revision: int = 1, *, stage: ledger.Stage = "final", days: float = 0.0
    ) -> int:
        """Put a month into the ledger with what was observed; return its revision's key."""
        name = f"ECS_FCO2_monthly_1km_{month.item():%Y%m}.nc"
        text = f"{name} {revision}"
        seen = ledger.FileSeen(
            product="ecs-fco2-1km",
            url=f"s3://landing/{name}",
            file_name=name,
            size_bytes=8_000_000,
            sha256=digest(text),
            month=month,
            seen_at=self.when(month, days),
            stage=stage,
        )
        n = self.size.grid.n_lat * self.size.grid.n_lon
        committed = ledger.MonthCommitted(
            month=month,
            revision=revision,
            snapshot_id=digest(f"snapshot {text}")[:20].upper(),
            content_hash=digest(f"content {text}"),
            n_ocean=n,
            n_observed=round(0.8 * n),
            n_completed=n - round(0.8 * n),
            committed_at=self.when(month, days),
            completion="eof:BASIS:12",
            reason="the month's first file" if revision == 1 else "another final file of the month",
        )
        checks = [
            ledger.CheckResult(name, "structural", "error", True, "", "", "")
            for name in ("readable", "units", "sign")
        ]
        key = ledger.record_accepted(self.engine, seen, checks, committed)
        self.revisions[month] = key
        write_observation(self.engine, self.observed(month, key, 0.3 * (revision - 1)))
        return key

    def observed(self, month: Month, key: int, shift: float) -> ObservedRows:
        """Return what the record holds of a month."""
        flux = self.flux(month) + shift
        n = len(self.masks)
        area = np.array([self.area[mask].sum() for mask in self.masks.values()])
        return ObservedRows(
            month_revision_id=key,
            month=month,
            created_at=self.when(month, 0.1),
            regions=tuple(region for region in REGIONS if region.name in self.masks),
            area_m2=area,
            mean=self.by_region(flux),
            uncertainty=np.full(n, 0.6),
            observed_share=np.full(n, 0.8),
            grid=self.size.grid,
            index=np.arange(len(self.area)),
            cell_area_m2=self.area,
            cell_mean=flux,
            cell_observed_share=np.full(len(self.area), 0.8),
        )

    def add_model(self, number: int, trained_until: Month) -> str:
        """Register a model version and promote it; return its name."""
        version = f"tidenet-{trained_until}-{number}"
        moment = self.when(trained_until, 1.0)
        register_model(
            self.engine,
            ModelVersion(
                version=version,
                method="tidenet",
                grid=self.size.grid.name,
                weights_url=f"s3://models/{version}",
                weights_sha256=digest(version),
                snapshot_id="SNAPSHOT",
                trained_from=self.size.first_month,
                trained_until=trained_until,
                validated_from=None,
                validated_until=None,
                seed=number,
                code_version="0.1.0",
                created_at=moment,
                config={},
                metrics={},
                libraries={"numpy": "2.4.0", "torch": "2.13.0"},
                hardware="CPU, 2 threads (x86_64)",
            ),
        )
        first = Promotion(
            version, True, "the first model of its grid", "tidenet train", moment, kind="first"
        )
        record_promotion(self.engine, first)
        return version

    def add_run(
        self,
        init_month: Month,
        model: str,
        *,
        kind: IssuedKind = "live",
        days: float = 0.5,
        **changes: object,
    ) -> str:
        """Add a run with all its rows; return its id."""
        inputs = ledger.latest_months(self.engine, init_month, since=init_month - 5)
        run_id = identity(f"{init_month} {model} {kind} {days} {changes}")
        run = ForecastRun(
            id=run_id,
            init_month=init_month,
            n_leads=self.size.n_leads,
            n_members=20,
            model_version=model,
            snapshot_id=inputs[-1].committed.snapshot_id,
            month_revision_id=inputs[-1].id,
            seed=0,
            issued_kind=kind,
            created_at=self.when(init_month, days),
            fields_url=f"s3://predictions/{init_month}/{run_id}.zarr",
            fields_sha256=digest(run_id),
            code_version="0.1.0",
            idempotency_key=run_id,
            duration_s=12.5,
            libraries={"numpy": "2.4.0", "torch": "2.13.0"},
            hardware="CPU, 2 threads (x86_64)",
            first_month=init_month - 5,
            reason="a new last month of the record" if kind == "live" else "to measure skill",
        )
        run = replace(run, **changes)  # type: ignore[arg-type]
        rows, cells = self.predicted(init_month)
        yearly = self.yearly(init_month, rows)
        write_run(self.engine, run, rows, cells, yearly=yearly, inputs=inputs)
        return run_id

    def predicted(self, init_month: Month) -> "tuple[RegionalRows, CellRows]":
        """Return what a run says: the anomaly fades, and the doubt grows."""
        leads = np.arange(1, self.size.n_leads + 1)
        valid = calendar_months(init_month + leads) - 1
        t = (init_month - self.size.first_month).astype(int)
        fading = (0.7**leads)[:, None].astype(np.float32)
        mean = self.climatology[valid] + fading * self.anomaly[t]
        damped = self.climatology[valid] + (0.5**leads)[:, None] * self.anomaly[t]
        spread = np.broadcast_to(1.7 * np.sqrt(1 - fading**2), mean.shape)
        cells = CellRows(
            grid=self.size.grid,
            index=np.arange(len(self.area)),
            area_m2=self.area,
            mean=mean,
            spread=spread,
            quantiles=mean[:, None] + Z[None, :, None] * spread[:, None],
            p_source=probability(mean / spread),
            climatology=self.climatology[valid],
            damped_persistence=damped,
        )
        regional, wide = self.by_region(mean), 0.5 * self.by_region(spread)
        regions = tuple(region for region in REGIONS if region.name in self.masks)
        rows = RegionalRows(
            regions=regions,
            area_m2=np.array([self.area[mask].sum() for mask in self.masks.values()]),
            mean=regional,
            spread=wide,
            quantiles=regional[:, None] + Z[None, :, None] * wide[:, None],
            p_source=probability(regional / wide),
            climatology=self.by_region(self.climatology[valid]),
            damped_persistence=self.by_region(damped),
        )
        return rows, cells

    def yearly(self, init_month: Month, rows: RegionalRows) -> YearlyRows:
        """Return a run's sums by calendar year, its months independent of each other."""
        months = init_month + np.arange(1, self.size.n_leads + 1)
        calendar = months.astype("datetime64[Y]").astype(int) + 1970
        years, counts = np.unique(calendar, return_counts=True)
        days = np.array([days_in(month) for month in months])[:, None]
        factor = rows.area_m2[None] * days * TGC_PER_MMOL
        inside = [calendar == year for year in years]
        mean = np.stack([(rows.mean * factor)[m].sum(axis=0) for m in inside])
        spread = np.stack([np.sqrt(((rows.spread * factor)[m] ** 2).sum(axis=0)) for m in inside])
        return YearlyRows(
            regions=rows.regions,
            years=tuple(years.tolist()),
            n_months=tuple(counts.tolist()),
            mean=mean,
            spread=spread,
            quantiles=mean[:, None] + Z[None, :, None] * spread[:, None],
        )

    def add_scores(self, until: Month) -> None:
        """Score every run against what has been observed up to a month."""
        pending = unscored(self.engine, until)
        write_scores(self.engine, (row for item in pending for row in self.scored(item)))

    def scored(self, item: Unscored) -> Iterator[ScoreRow]:
        """Yield the sums of one lead of one run."""
        _, cells = self.predicted(item.init_month)
        lead = item.lead_months - 1
        f, c = cells.mean[lead], cells.climatology[lead]
        o, spread = self.flux(item.valid_month), cells.spread[lead]
        persisted = self.flux(item.init_month)
        damped = cells.damped_persistence[lead]
        sizes = np.abs(f - o)
        for region, mask in self.masks.items():
            w = self.area[mask] / 1e6

            def total(values: np.ndarray, mask: np.ndarray = mask, w: np.ndarray = w) -> float:
                return float(values[mask] @ w)

            yield ScoreRow(
                run_id=item.run_id,
                lead_months=item.lead_months,
                region=region,
                valid_month=item.valid_month,
                month_revision_id=item.month_revision_id,
                n_cells=int(mask.sum()),
                weight_sum=float(w.sum()),
                se_model=total((f - o) ** 2),
                se_climatology=total((c - o) ** 2),
                se_persistence=total((persisted - o) ** 2),
                se_damped_persistence=total((damped - o) ** 2),
                error=total(f - o),
                abs_error=total(sizes),
                crps=total(0.6 * sizes),
                crps_climatology=total(0.6 * np.abs(c - o)),
                fa_oa=total((f - c) * (o - c)),
                fa_sq=total((f - c) ** 2),
                oa_sq=total((o - c) ** 2),
                fa=total(f - c),
                oa=total(o - c),
                inside_50=total((sizes <= 0.674 * spread).astype(float)),
                inside_90=total((sizes <= 1.645 * spread).astype(float)),
                created_at=self.when(item.valid_month, 1.0),
            )


def probability(z: np.ndarray) -> np.ndarray:
    """Return the probability that a normal number with mean z and spread 1 is positive."""
    from scipy.special import ndtr

    return np.asarray(ndtr(z))


def digest(text: str) -> str:
    """Return a SHA-256 to stand for some bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def identity(text: str) -> str:
    """Return a run id that is the same each time."""
    d = digest(text)
    return f"{d[:8]}-{d[8:12]}-4{d[13:16]}-8{d[17:20]}-{d[20:32]}"
