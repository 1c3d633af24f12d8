"""Run migrations on the connection that `toros.database.schema` hands over."""

from alembic import context

from toros.database import messages, observing
from toros.database.models import Base

# Their tables belong to the metadata, too.
assert messages.Message.metadata is observing.Target.metadata is Base.metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
