"""Rows out of the ledger database, in Arrow batches, read through a cursor so that memory holds one batch.

Each task is one statement in one snapshot. The driver's own cursor is used: a row object for each row would cost more
than reading it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.objects import exportable
from counterfoil.catalog.sources import Source
from counterfoil.dataplane.rows import MOVEMENT_COLUMNS, Rows
from counterfoil.dataplane.schema import arrow_schema, batch_of
from counterfoil.dataplane.stop import StopFlag
from counterfoil.db import exportables
from counterfoil.db.engine import Database
from counterfoil.db.schema import movements
from counterfoil.errors import CounterfoilError
from counterfoil.plan.task import Selection, Task

BATCH_ROWS = 16_384
"""Rows fetched at once. As Python values a row of twelve columns takes about a kilobyte, so this is some 16 MB."""


class DatabaseRows:
    """The RowSource over the ledger database: a task's `tail` of the movements, or an object's rows whole."""

    def __init__(self, database: Database, batch_rows: int = BATCH_ROWS) -> None:
        self._database = database
        self._batch_rows = batch_rows

    def schema(self, selection: Selection) -> pa.Schema:
        fields = _fields(selection)
        schema = arrow_schema(selection.object, fields)
        if reads_movements(selection.object):
            extra = [name for name in MOVEMENT_COLUMNS if name not in fields]
            for field in arrow_schema("movement", extra):
                schema = schema.append(field)
        return schema

    def batches(self, selection: Selection, task: Task, stop: StopFlag) -> Generator[Rows]:
        """As RowSource.batches; a task that names segments too is not for this source alone."""
        assert not task.segments, "segments are read by the archive"
        if task.reads == "movements" and task.tail is None:
            return
        schema = self.schema(selection)
        places = _places(selection)
        read = pa.schema(
            [schema.field(name) for name in dict.fromkeys(places.get(name, name) for name in schema.names)]
        )
        statement = _statement(selection, task, schema.names[len(_fields(selection)) :])
        try:
            with self._database.read() as connection, _cursor(connection, statement, stop) as cursor:
                while rows := cursor.fetchmany(self._batch_rows):
                    batch = batch_of(rows, read)
                    if len(read) < len(schema):
                        columns = [batch.column(places.get(name, name)) for name in schema.names]
                        batch = pa.RecordBatch.from_arrays(columns, schema=schema)
                    yield Rows(batch)
                    stop.check()
        except CounterfoilError:
            stop.check()  # an interrupted statement fails with the driver's words; ours say why
            raise

    def count(self, selection: Selection, task: Task, stop: StopFlag) -> int:
        """How many rows `batches` gives for a task. Errors as there; costs the database a search, and no rows are made."""
        statement = exportables.count_object(selection.object, _rows(selection, task))
        with self._database.read() as connection, _cursor(connection, statement, stop) as cursor:
            return int(cursor.fetchone()[0])


def reads_movements(object_name: str) -> bool:
    """Whether the object's rows are movements, which never change and have a chain."""
    return exportable(object_name).table == movements.name


def _fields(selection: Selection) -> list[str]:
    return list(dict.fromkeys(column.field for column in selection.columns))


def _places(selection: Selection) -> dict[str, str]:
    """For each field the first one that has the same source: what several columns are made of is fetched once."""
    about = exportable(selection.object)
    first: dict[tuple[Source, Kind], str] = {}
    places: dict[str, str] = {}
    for name in _fields(selection):
        field = about.field(name)
        assert field is not None, name
        places[name] = first.setdefault((field.source, field.kind), name)
    return places


def _statement(selection: Selection, task: Task, extra: Sequence[str]) -> sa.Select[Any]:
    statement = exportables.select_object(
        selection.object,
        list(dict.fromkeys(_places(selection).values())),
        _rows(selection, task),
        order=selection.order,
        limit=selection.limit_rows,
    )
    return statement.add_columns(*(movements.c[name] for name in extra))


def _rows(selection: Selection, task: Task) -> exportables.Rows:
    low, high = task.tail if task.tail is not None else (None, None)
    return exportables.Rows(
        selection.project_id,
        scope=selection.scope,
        filter=selection.filter,
        seq_from=low,
        seq_to=min(high, selection.seq_max) if high is not None else None,
        created_from=task.created_from,
        created_to=task.created_to,
        cursor=selection.cursor if task.reads == "movements" else None,
    )


@contextmanager
def _cursor(connection: Connection, statement: sa.Select[Any], stop: StopFlag) -> Generator[Any]:
    """The driver's cursor over the rows of a statement; on the server where they are many. Its errors become those
    that SQLAlchemy raises, so that the database translates them as it does all others."""
    dialect = connection.dialect
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    values = compiled.construct_params()
    names = compiled.positiontup
    text, parameters = str(compiled), values if names is None else tuple(values[name] for name in names)
    driver: Any = connection.connection.driver_connection
    server = dialect.name == "postgresql"
    interrupt = driver.cancel if server else driver.interrupt
    error_class = dialect.loaded_dbapi.Error
    cursor = driver.cursor(name="counterfoil_export") if server else driver.cursor()
    try:
        with stop.on_set(interrupt):
            cursor.execute(text, parameters)
            yield cursor
    except error_class as error:
        raise DBAPIError.instance(text, None, error, error_class, dialect=dialect) from error
    finally:
        cursor.close()
