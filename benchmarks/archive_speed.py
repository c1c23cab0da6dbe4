"""The forecast archive: the documented queries as it grows, and writing runs beside bare COPY.

Usage: ``python -m benchmarks.archive_speed [--quick]``. Prints Markdown tables. It starts a
PostgreSQL server of its own in the temporary folder, with the settings of a fresh installation but
for ``shared_buffers`` (512 MB), and needs 6 GB there; ``--quick`` is the same on a hundredth.
"""

import argparse
import datetime as dt
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sqlalchemy import Engine, text

from benchmarks.archive_generator import Archive, Size
from benchmarks.measure import machine, now
from storage import bulk
from storage.archive import runs, write_run
from storage.database import connect, migrate, transaction
from storage.grid import Grid
from storage.months import Month, first_day, month
from storage.named_queries import ask

FIRST = month("1985-01")
BEGAN = dt.datetime(1985, 2, 20, tzinfo=dt.UTC)
SETTINGS = "shared_buffers = 512MB\n"

QUERIES: tuple[tuple[str, str], ...] = (
    ("region", "forecast"),
    ("region", "forecast-for-month"),
    ("region", "forecast-as-of"),
    ("region", "forecast-as-issued"),
    ("region", "forecast-history"),
    ("region", "uptake-by-month"),
    ("region", "uptake-by-year"),
    ("region", "sources"),
    ("region", "skill-by-lead"),
    ("region", "skill-by-month"),
    ("region", "skill-in-season"),
    ("region", "forecast-vs-observed"),
    ("region", "largest-errors"),
    ("region", "coverage"),
    ("cell", "cell"),
    ("cell", "cell-series"),
    ("map", "map"),
    ("map", "skill-recomputed"),
    ("run", "lineage"),
    ("run", "lineage-files"),
    ("run", "outdated"),
)
"""What each documented query returns, and its name."""

REGIONS = ("all", "ecs-shelf", "changjiang-plume", "yellow-sea", "middle-shelf")


@dataclass(frozen=True)
class Plan:
    """How large the archive gets.

    Parameters
    ----------
    cells
        Archive cells in each direction.
    years
        Years of runs after which the queries are measured.
    every
        A run is made from every so many months.
    repetitions
        Times that each query is asked.
    all_models
        Each of the three models makes a run; one after the other otherwise.
    """

    cells: int
    years: tuple[int, ...]
    every: int
    repetitions: int
    all_models: bool = False

    @property
    def size(self) -> Size:
        """The archive's size."""
        step = 10.0 / self.cells
        grid = Grid("bench", 24.0, 118.0, round(step, 6), self.cells, self.cells)
        return Size(grid, FIRST, 12 * (self.years[-1] + 2), n_leads=12)


EVERY_RUN = Plan(cells=10, years=(10, 20, 40), every=1, repetitions=60, all_models=True)
FULL = Plan(cells=100, years=(5, 10, 20, 40), every=3, repetitions=60)
QUICK = Plan(cells=10, years=(1, 2), every=3, repetitions=10)


@contextmanager
def postgresql() -> Iterator[Any]:
    """Start a PostgreSQL server, durable as an installed one is."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from services.postgres import create_server, destroy

    server = create_server(SETTINGS)
    try:
        yield server
    finally:
        destroy(server)


def grow(archive: Archive, plan: Plan) -> Iterator[tuple[int, float]]:
    """Fill the archive; after each of the plan's spans yield its years and seconds a run."""
    size = archive.size
    models: list[str] = []
    seconds = []
    for n, one in enumerate(archive.months()[:-12]):
        archive.add_month(one)
        if n == 11:
            models = [archive.add_model(number, one) for number in (1, 2, 3)]
        if n >= 12 and (n - 12) % plan.every == 0:
            for model in models if plan.all_models else models[n // plan.every % 3 :][:1]:
                started = now()
                archive.add_run(one, model)
                seconds.append(now() - started)
        if n >= 12 and (n - 11) // 12 in plan.years and (n - 11) % 12 == 0:
            archive.add_scores(one)
            yield (n - 11) // 12, median(seconds)
    assert size.n_leads == 12


def asked(
    engine: Engine, plan: Plan, rng: np.random.Generator, last: Month
) -> dict[str, np.ndarray]:
    """Ask every documented query with changing parameters; return milliseconds by name."""
    known = runs(engine)
    found = {}
    for kind, name in QUERIES:
        times = []
        for _ in range(plan.repetitions):
            given = _parameters(name, rng, [run.id for run in known], last)
            started = now()
            ask(engine, name, given)
            times.append(1000 * (now() - started))
        found[f"{kind}|{name}"] = np.array(times)
    return found


def _parameters(
    name: str, rng: np.random.Generator, run_ids: list[str], last: Month
) -> dict[str, object]:
    from storage.named_queries import named_query

    choices: dict[str, Callable[[], object]] = {
        "region": lambda: str(rng.choice(REGIONS)),
        "valid_month": lambda: str(last - int(rng.integers(0, 48))),
        "init_month": lambda: str(last - 3 * int(rng.integers(0, 12))),
        "since": lambda: str(last - 24),
        "as_of": lambda: first_day(last - int(rng.integers(0, 48))).isoformat(),
        "run": lambda: str(rng.choice(run_ids)),
        "lead_months": lambda: int(rng.integers(1, 13)),
        "lat": lambda: float(rng.uniform(25, 33)),
        "lon": lambda: float(rng.uniform(119, 127)),
    }
    names = {parameter.name for parameter in named_query(name).parameters}
    return {key: choose() for key, choose in choices.items() if key in names}


def n_rows(engine: Engine) -> int:
    """Return the number of cell rows."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM cell_predictions")).scalar_one())


def n_bytes(engine: Engine) -> int:
    """Return the size of the database."""
    with engine.connect() as connection:
        return int(
            connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
        )


# --- writing --------------------------------------------------------------------------------------


def writing(archive: Archive, repetitions: int) -> dict[str, float]:
    """Write one run again and again, and its cell rows by bare COPY; return median seconds."""
    engine = archive.engine
    init_month = runs(engine)[-1].init_month
    model = runs(engine)[-1].model_version
    rows, cells = archive.predicted(init_month)
    yearly = archive.yearly(init_month, rows)
    first = runs(engine)[-1]
    times = []
    for k in range(repetitions):
        again = replace(first, id=f"again-{k}", idempotency_key=f"again-{k}", model_version=model)
        started = now()
        write_run(engine, again, rows, cells, yearly=yearly)
        times.append(now() - started)
    found = {"write_run": median(times)}
    if engine.dialect.name == "postgresql":
        found |= _bare(engine, repetitions)
    return found


def _bare(engine: Engine, repetitions: int) -> dict[str, float]:
    """Send the cell rows of one run by COPY alone: to a table with all rules, and without."""
    with engine.connect() as connection:
        kept = connection.execute(
            text("SELECT max(lead_id) AS last, max(init_month) AS month FROM cell_predictions")
        ).one()
        table = connection.execute(
            text("SELECT * FROM cell_predictions WHERE lead_id > :last - 12 ORDER BY lead_id"),
            {"last": kept.last},
        )
        names, rows = tuple(table.keys()), table.all()
    kinds = {"lead_id": np.int32, "cell_id": np.int32, "init_month": "datetime64[M]"}
    values = {
        name: np.array([row[k] for row in rows], dtype=kinds.get(name, np.float32))  # type: ignore[call-overload]
        for k, name in enumerate(names)
    }
    found = {}
    for kind, rules in (
        ("with the same keys, checks and foreign keys", True),
        ("without any index or rule", False),
    ):
        times = []
        for _ in range(repetitions):
            _make_bare(engine, rules=rules)
            with transaction(engine) as connection:
                started = now()
                bulk.insert_columns(connection, "bare", values)
                connection.commit()
            times.append(now() - started)
        found[f"bare COPY, {kind}"] = median(times)
    return found


def _make_bare(engine: Engine, *, rules: bool) -> None:
    like = "LIKE cell_predictions INCLUDING ALL" if rules else "LIKE cell_predictions"
    with transaction(engine) as connection:
        connection.execute(text("DROP TABLE IF EXISTS bare"))
        connection.execute(text(f"CREATE TABLE bare ({like})"))
        if rules:
            connection.execute(
                text(
                    "ALTER TABLE bare ADD FOREIGN KEY (cell_id) REFERENCES cells (id), ADD FOREIGN"
                    " KEY (lead_id, init_month) REFERENCES forecast_leads (id, init_month)"
                )
            )


# --- a thousand runs ------------------------------------------------------------------------------


def write_many(url: str, worker: int, n_runs: int) -> int:
    """Write hindcasts from one process; return how many were new."""
    engine = connect(url, timeout_s=120)
    archive = _crowd(engine)
    init_month = FIRST + 12
    rows, cells = archive.predicted(init_month)
    yearly = archive.yearly(init_month, rows)
    first = runs(engine)[0]
    made = 0
    for k in range(n_runs):
        # Every run is tried by two processes.
        key = f"run-{(worker // 2) * n_runs + k}"
        run = replace(
            first, id=f"{key}-{worker}", idempotency_key=key, issued_kind="hindcast", seed=k
        )
        made += write_run(engine, run, rows, cells, yearly=yearly).created
    engine.dispose()
    return made


def _crowd(engine: Engine) -> Archive:
    grid = Grid("crowd", 24.0, 118.0, 1.0, 10, 10)
    return Archive(engine, Size(grid, FIRST, 30), np.random.default_rng(0), BEGAN)


def thousand(url: str, n_runs: int) -> tuple[float, int]:
    """Let 4 processes write hindcasts, each tried twice; return seconds and runs made."""
    engine = connect(url)
    migrate(engine)
    archive = _crowd(engine)
    for one in archive.months()[:13]:
        archive.add_month(one)
    archive.add_run(FIRST + 12, archive.add_model(1, FIRST + 11))
    started = now()
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        each = n_runs // 2
        made = sum(pool.map(write_many, [url] * 4, range(4), [each] * 4))
    seconds = now() - started
    engine.dispose()
    return seconds, made


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    plan = QUICK if parser.parse_args().quick else FULL
    print(f"{machine()}\n")
    with postgresql() as server, tempfile.TemporaryDirectory() as folder:
        engine = connect(server.new_database(), timeout_s=600)
        migrate(engine)
        archive = Archive(engine, plan.size, np.random.default_rng(1), BEGAN)
        _print_growth(archive, plan)
        print("\n| writing one run | seconds |\n|---|---|")
        for what, seconds in writing(archive, 7).items():
            print(f"| PostgreSQL, {what} | {seconds:.2f} |")
        engine.dispose()
        small = connect(f"sqlite:///{folder}/archive.db", timeout_s=600)
        migrate(small)
        one_year = Archive(small, replace(plan.size, n_months=36), np.random.default_rng(1), BEGAN)
        for _ in grow(one_year, replace(plan, years=(1,))):
            pass
        print(f"| SQLite, write_run | {writing(one_year, 5)['write_run']:.2f} |")
        small.dispose()
        for name, url in (
            ("PostgreSQL", server.new_database()),
            ("SQLite", f"sqlite:///{folder}/crowd.db"),
        ):
            seconds, made = thousand(url, 1000)
            print(f"\n{name}: 1000 hindcasts by 4 processes, {made} made, {seconds:.0f} s")
        if plan is FULL:
            _print_every_run(server.new_database())


def _print_every_run(url: str) -> None:
    """Ask again where every run of 40 years and three models is there, each with few cells."""
    engine = connect(url, timeout_s=600)
    migrate(engine)
    archive = Archive(engine, EVERY_RUN.size, np.random.default_rng(1), BEGAN)
    print("\nEvery run of three models, 100 cells each\n")
    _print_growth(archive, EVERY_RUN)
    engine.dispose()


def _print_growth(archive: Archive, plan: Plan) -> None:
    columns = {}
    for years, seconds in grow(archive, plan):
        with archive.engine.connect() as connection:
            # What autovacuum comes to do by itself when such a load is over.
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            alone.execute(text("VACUUM ANALYZE"))
        rng = np.random.default_rng(2)
        last = runs(archive.engine)[-1].init_month
        title = f"{years} years, {n_rows(archive.engine) / 1e6:.1f} M"
        columns[title] = asked(archive.engine, plan, rng, last)
        size = n_bytes(archive.engine) / 1e9
        said = f"{title} cell rows, {size:.1f} GB, {seconds:.2f} s a run"
        print(said, file=sys.stderr, flush=True)
    print("| returns | query | " + " | ".join(columns) + " |")
    print("|---|---|" + "---|" * len(columns))
    for key in next(iter(columns.values())):
        kind, name = key.split("|")
        cells = [f"{np.quantile(times[key], 0.95):.1f}" for times in columns.values()]
        print(f"| {kind} | {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
