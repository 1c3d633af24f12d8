"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "exposure",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("exposure_type", sa.String(length=16), nullable=False),
        sa.Column("exposure_time", sa.Double(), nullable=True),
        sa.Column("npix1", sa.Integer(), nullable=True),
        sa.Column("npix2", sa.Integer(), nullable=True),
        sa.Column("filter", sa.Text(), nullable=True),
        sa.Column("temperature", sa.Double(), nullable=True),
        sa.Column("start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("instrument", sa.Text(), nullable=True),
        sa.Column("facts", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("quarantine_reason", sa.Text(), nullable=True),
        sa.Column("received", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sha256"),
    )
    with op.batch_alter_table("exposure", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_exposure_exposure_type"), ["exposure_type"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_exposure_start"), ["start"], unique=False)

    op.create_table(
        "status_code",
        sa.Column("number_code", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number_code"),
    )
    op.create_table(
        "file_batch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("url_sha256", sa.String(length=64), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("run_inputs_sha256", sa.String(length=64), nullable=True),
        sa.Column("run_marker", sa.Text(), nullable=True),
        sa.Column("run_result", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("left_out", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("calibrated", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["status_code"],
            ["status_code.number_code"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("url_sha256"),
    )
    op.create_table(
        "work_order",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("service", sa.String(length=32), nullable=False),
        sa.Column("user", sa.String(length=200), nullable=False),
        sa.Column("order_id", sa.String(length=200), nullable=False),
        sa.Column("request", sa.String(length=64), nullable=False),
        sa.Column("content", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("content_sha256", sa.String(length=64), nullable=False),
        sa.Column("receipt", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("priority", sa.Double(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=200), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("progress_text", sa.Text(), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("received", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled')",
            name="ck_work_order_state",
        ),
        sa.ForeignKeyConstraint(
            ["status_code"],
            ["status_code.number_code"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("service", "user", "order_id", name="uq_work_order_identity"),
    )
    with op.batch_alter_table("work_order", schema=None) as batch_op:
        batch_op.create_index(
            "ix_work_order_queue", ["service", "state", "priority", "id"], unique=False
        )

    op.create_table(
        "file_batch_exposure",
        sa.Column("file_batch_id", sa.Integer(), nullable=False),
        sa.Column("exposure_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("exposure_type", sa.String(length=16), nullable=False),
        sa.Column("facts", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("quarantine_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["exposure_id"],
            ["exposure.id"],
        ),
        sa.ForeignKeyConstraint(
            ["file_batch_id"],
            ["file_batch.id"],
        ),
        sa.PrimaryKeyConstraint("file_batch_id", "exposure_id"),
    )
    with op.batch_alter_table("file_batch_exposure", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_file_batch_exposure_exposure_id"), ["exposure_id"], unique=False
        )

    op.create_table(
        "step_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("file_batch_id", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.Column("work_order_id", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["file_batch_id"],
            ["file_batch.id"],
        ),
        sa.ForeignKeyConstraint(
            ["status_code"],
            ["status_code.number_code"],
        ),
        sa.ForeignKeyConstraint(
            ["work_order_id"],
            ["work_order.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("file_batch_id", "run", "step", name="uq_step_run"),
    )
    with op.batch_alter_table("step_run", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_step_run_file_batch_id"), ["file_batch_id"], unique=False
        )

    op.create_table(
        "combination",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("file_batch_id", sa.Integer(), nullable=False),
        sa.Column("step_run_id", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("combination_type", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("preview_path", sa.Text(), nullable=True),
        sa.Column("key", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("scalars", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("missing", sa.JSON(), nullable=False),
        sa.Column("frames_rejected", sa.JSON(), nullable=False),
        sa.Column("superseded", sa.Boolean(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["file_batch_id"],
            ["file_batch.id"],
        ),
        sa.ForeignKeyConstraint(
            ["step_run_id"],
            ["step_run.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("file_batch_id", "run", "name", name="uq_combination"),
    )
    with op.batch_alter_table("combination", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_combination_combination_type"), ["combination_type"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_combination_file_batch_id"), ["file_batch_id"], unique=False
        )

    op.create_table(
        "combination_combination",
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("input_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["combination.id"],
        ),
        sa.ForeignKeyConstraint(
            ["input_id"],
            ["combination.id"],
        ),
        sa.PrimaryKeyConstraint("combination_id", "input_id"),
    )
    with op.batch_alter_table("combination_combination", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_combination_combination_input_id"), ["input_id"], unique=False
        )

    op.create_table(
        "combination_exposure",
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("exposure_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["combination.id"],
        ),
        sa.ForeignKeyConstraint(
            ["exposure_id"],
            ["exposure.id"],
        ),
        sa.PrimaryKeyConstraint("combination_id", "exposure_id"),
    )
    with op.batch_alter_table("combination_exposure", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_combination_exposure_exposure_id"), ["exposure_id"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("combination_exposure", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_combination_exposure_exposure_id"))

    op.drop_table("combination_exposure")
    with op.batch_alter_table("combination_combination", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_combination_combination_input_id"))

    op.drop_table("combination_combination")
    with op.batch_alter_table("combination", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_combination_file_batch_id"))
        batch_op.drop_index(batch_op.f("ix_combination_combination_type"))

    op.drop_table("combination")
    with op.batch_alter_table("step_run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_step_run_file_batch_id"))

    op.drop_table("step_run")
    with op.batch_alter_table("file_batch_exposure", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_file_batch_exposure_exposure_id"))

    op.drop_table("file_batch_exposure")
    with op.batch_alter_table("work_order", schema=None) as batch_op:
        batch_op.drop_index("ix_work_order_queue")

    op.drop_table("work_order")
    op.drop_table("file_batch")
    op.drop_table("status_code")
    with op.batch_alter_table("exposure", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_exposure_start"))
        batch_op.drop_index(batch_op.f("ix_exposure_exposure_type"))

    op.drop_table("exposure")
