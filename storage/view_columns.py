"""How views are described: each column by a table's column, or by a type and meaning of its own."""

from typing import Any

from sqlalchemy import Column, MetaData, Table
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeEngine

VIEWS = MetaData()
"""All views, apart from the tables: Alembic is not to make tables of them."""

ViewColumn = Column | InstrumentedAttribute | tuple[str, InstrumentedAttribute]


def view(name: str, comment: str, *columns: ViewColumn) -> Table:
    """Declare a view.

    A column is a table's, a table's under another name, or one of the view's own.
    """
    return Table(name, VIEWS, *(_column(column) for column in columns), comment=comment)


def _column(column: ViewColumn) -> Column:
    if isinstance(column, Column):
        return column
    name, source = column if isinstance(column, tuple) else (column.key, column)
    original = source.property.columns[0]
    return Column(name, original.type, nullable=original.nullable, comment=original.comment)


def own(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]], comment: str) -> Column:
    """Describe a column that the view computes."""
    return Column(name, kind, comment=comment)
