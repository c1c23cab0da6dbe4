"""The archive's rows of a run as a Parquet or CSV file, in batches: it may be millions of them."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Date,
    Engine,
    Float,
    Integer,
    Row,
    Select,
    Table,
    select,
    type_coerce,
)

from flows.operations.export_files import Format, Rows
from flows.operations.workspace import Progress
from storage.archive import UnknownRunError
from storage.column_types import MonthDate, UtcDateTime
from storage.database import reading
from storage.views import forecast_cells, forecasts

if TYPE_CHECKING:
    import pyarrow as pa

    from flows.operations.export import Exported

N_BATCH = 50_000
"""Rows that are in memory at a time."""

VIEWS = {Rows.CELLS: (forecast_cells, "cell_index"), Rows.REGIONS: (forecasts, "region")}
"""The view that holds the rows, and the column that they are ordered by within a lead."""

_UNIT = re.compile(r"\((mmol m-2 d-1|m2|degrees north|degrees east|Tg C per month|0 to 1)\b[^)]*\)")
_SPELLED = {"degrees north": "degrees_north", "degrees east": "degrees_east", "0 to 1": "1"}


class _Sink(Protocol):
    """A file that takes batches of rows."""

    def write_batch(self, batch: "pa.RecordBatch") -> None: ...

    def close(self) -> None: ...


def write_table(
    path: Path,
    engine: Engine,
    exported: "Exported",
    form: Format,
    rows: Rows,
    progress: Progress,
) -> None:
    """Write all columns of a run's rows, lead by lead, as they were at one moment.

    Parameters
    ----------
    path
        The file.
    engine
        The archive database.
    exported
        The run.
    form
        ``parquet`` (meaning and unit of each column and the provenance in its metadata) or ``csv``.
    rows
        Which rows.
    progress
        Told of each lead.

    Raises
    ------
    UnknownRunError
        If the archive holds no such rows of the run.
    """
    view, order = VIEWS[rows]
    run = exported.run
    schema = _schema(view, exported.provenance)
    n_rows = 0
    with closing(_sink(path, form, schema)) as sink, reading(engine) as connection:
        for lead in range(1, run.n_leads + 1):
            progress(lead - 1, run.n_leads, f"lead {lead}")
            result = connection.execute(_query(view, order, exported, lead))
            for part in result.partitions():
                sink.write_batch(_batch(part, schema))
                n_rows += len(part)
    progress(run.n_leads, run.n_leads, "")
    if not n_rows:
        raise UnknownRunError(
            f"The archive holds no {rows} of this run.",
            found=f"run {run.id} with no rows in {view.name}",
            remedy="Export its other rows, or its fields: --what, --format.",
        )


def _query(view: Table, order: str, exported: "Exported", lead: int) -> Select:
    """Return the question for one lead; the init month besides says which partition holds it."""
    columns = [
        type_coerce(column, Date).label(column.name)
        if isinstance(column.type, MonthDate)
        else column
        for column in view.c
    ]
    return (
        select(*columns)
        .where(
            view.c.run_id == exported.run.id,
            view.c.init_month == exported.run.init_month,
            view.c.lead_months == lead,
        )
        .order_by(view.c[order])
        .execution_options(yield_per=N_BATCH)
    )


def _batch(rows: Sequence[Row[Any]], schema: "pa.Schema") -> "pa.RecordBatch":
    import pyarrow as pa

    columns = zip(*rows, strict=True)
    arrays = [pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


# --- what a column is -----------------------------------------------------------------------------


def _schema(view: Table, provenance: dict[str, str]) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(c.name, _arrow_type(c), nullable=c.nullable is not False, metadata=_about(c))
            for c in view.c
        ],
        metadata=provenance,
    )


def _arrow_type(column: Column[Any]) -> "pa.DataType":
    """Return the type that holds every value of a column as the database has it."""
    import pyarrow as pa

    types: tuple[tuple[type, pa.DataType], ...] = (
        (MonthDate, pa.date32()),
        (UtcDateTime, pa.timestamp("us", tz="UTC")),
        (Boolean, pa.bool_()),
        (BigInteger, pa.int64()),
        (Integer, pa.int32()),
        (REAL, pa.float32()),
        (Float, pa.float64()),
    )
    return next((found for kind, found in types if isinstance(column.type, kind)), pa.string())


def _about(column: Column[Any]) -> dict[str, str]:
    """Return the meaning of a column, and its unit, which the meaning names in brackets."""
    comment = column.comment or ""
    unit = _UNIT.search(comment)
    return {"comment": comment} | ({"units": _SPELLED.get(unit[1], unit[1])} if unit else {})


# --- files ----------------------------------------------------------------------------------------


def _sink(path: Path, form: Format, schema: "pa.Schema") -> _Sink:
    if form is Format.CSV:
        return _CsvFile(path, schema.names)
    import pyarrow.parquet as pq

    return pq.ParquetWriter(path, schema, compression="zstd")


class _CsvFile:
    """Rows as text: a header, ISO dates, UTC times, as many digits as a number has."""

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(names)

    def write_batch(self, batch: "pa.RecordBatch") -> None:
        self._writer.writerows(zip(*(_texts(column) for column in batch.columns), strict=True))

    def close(self) -> None:
        self._file.close()


def _texts(column: "pa.Array") -> Iterator[str | None]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(column.type):
        # Arrow's %S has the fractions of a second.
        texts = pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    else:
        # The shortest text that gives the same number again.
        texts = column.cast(pa.string())
    return iter(texts.to_pylist())
