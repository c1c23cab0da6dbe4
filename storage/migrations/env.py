"""Alembic's environment: on the connection that `storage.database` opened, or on the command's.

The `alembic` command finds the database in ``-x url=...`` or in the settings (TIDENET_DATABASE).
"""

from typing import Any

from alembic import context
from sqlalchemy import Connection, make_url

from storage.database import connect, transaction
from storage.finishing import finish, is_declared
from storage.settings import Settings
from storage.tables import Table


def _options(dialect: str) -> dict[str, Any]:
    return {
        "target_metadata": Table.metadata,
        "compare_type": True,
        "compare_server_default": True,
        "include_name": is_declared,
        # SQLite alters a table by copying it.
        "render_as_batch": dialect == "sqlite",
        "transactional_ddl": True,
    }


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, **_options(connection.dialect.name))
    with context.begin_transaction():
        context.run_migrations()
        finish(connection)


def _url() -> str:
    return context.get_x_argument(as_dictionary=True).get("url") or Settings().database_url


given = context.config.attributes.get("connection")
if given is not None:
    _migrate(given)
elif context.is_offline_mode():
    dialect = make_url(_url()).get_backend_name()
    context.configure(dialect_name=dialect, literal_binds=True, **_options(dialect))
    with context.begin_transaction():
        context.run_migrations()
else:
    with transaction(connect(_url())) as connection:
        _migrate(connection)
