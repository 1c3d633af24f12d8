"""Run migrations on the connection that `toros.database.schema` hands over."""

from alembic import context

from toros.database import alert_tables, messages, observing
from toros.database.models import Base

# Their tables belong to the metadata, too.
for table in (alert_tables.AlertEvent, messages.Message, observing.Target):
    assert table.metadata is Base.metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
