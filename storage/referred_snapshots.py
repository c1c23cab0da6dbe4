"""The snapshots of the record that the archive refers to: none of them may ever go."""

from sqlalchemy import Column, Engine, select

from storage.database import reading
from storage.tables import Table


def snapshot_columns() -> tuple[Column[str], ...]:
    """Return every column of the archive that names a snapshot.

    Found by name, so that a column that is added later protects its snapshots, too.
    """
    return tuple(
        column
        for table in Table.metadata.sorted_tables
        for column in table.columns
        if column.name.endswith("snapshot_id")
    )


def referred_snapshots(engine: Engine) -> frozenset[str]:
    """Return the id of every snapshot that a month, run, model or hand-over refers to.

    A revision of a month that was superseded counts: what was known on a day can then be read
    again as long as there is the archive.
    """
    found: set[str] = set()
    with reading(engine) as connection:
        for column in snapshot_columns():
            found |= set(connection.execute(select(column).distinct()).scalars())
    return frozenset(found - {""})
