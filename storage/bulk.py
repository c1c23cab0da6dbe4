"""Many rows at once: COPY in PostgreSQL's binary format, one prepared INSERT on SQLite."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sqlalchemy import Connection

_EPOCH = np.datetime64("2000-01-01", "D")
"""Day 0 of PostgreSQL's binary dates."""


def insert_columns(connection: Connection, table: str, columns: Mapping[str, np.ndarray]) -> None:
    """Add rows that are given column by column.

    Parameters
    ----------
    connection
        The open transaction.
    table
        Name of one of the archive's tables.
    columns
        Column name to values (n_rows,): int32, float32, float64 or datetime64[M] (a date).
    """
    if connection.dialect.name == "postgresql":
        _copy(connection, table, columns)
    else:
        _execute_many(connection, table, columns)


def _execute_many(connection: Connection, table: str, columns: Mapping[str, np.ndarray]) -> None:
    marks = ", ".join("?" * len(columns))
    driver: Any = connection.connection.driver_connection
    driver.executemany(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608 - own names
        zip(*(_listed(values) for values in columns.values()), strict=True),
    )


def _listed(values: np.ndarray) -> list[Any]:
    if np.issubdtype(values.dtype, np.datetime64):
        # Few dates occur many times: each is written out once.
        distinct, which = np.unique(values, return_inverse=True)
        text = [str(np.datetime64(date, "D")) for date in distinct]
        return [text[i] for i in which.tolist()]
    listed: list[Any] = values.tolist()
    return listed


def _copy(connection: Connection, table: str, columns: Mapping[str, np.ndarray]) -> None:
    """Send rows in COPY's binary format: each field is its length and its big-endian bytes."""
    binary = {name: _binary(values) for name, values in columns.items()}
    form: list[tuple[str, str]] = [("n_fields", ">i2")]
    for name, values in binary.items():
        form += [(f"{name}_length", ">i4"), (name, values.dtype.str)]
    rows = np.empty(len(next(iter(binary.values()))), dtype=form)
    rows["n_fields"] = len(binary)
    for name, values in binary.items():
        rows[f"{name}_length"] = values.dtype.itemsize
        rows[name] = values
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff")


def _binary(values: np.ndarray) -> np.ndarray:
    if np.issubdtype(values.dtype, np.datetime64):
        return (values.astype("datetime64[D]") - _EPOCH).astype(">i4")
    return values.astype(values.dtype.newbyteorder(">"))
