"""Requests that every daemon answers."""

from __future__ import annotations

from typing import Literal

from toros.workorders.envelope import OrderId, ShortText, WorkOrder, quantity

OrderState = Literal["queued", "running", "done", "failed", "cancelled"]


class Describe(WorkOrder):
    """List the requests of this daemon with their fields, units and examples."""

    request = "describe"
    immediate = True


class Status(WorkOrder):
    """Tell the state of the daemon or, with `order`, of one order and its result.

    The daemon's state needs no database; an order's does.
    """

    request = "status"
    immediate = True
    example = {"order": "1"}

    order: OrderId | None = quantity("The id of the order to tell of.", default=None)
    order_user: ShortText | None = quantity(
        "Whose order it is, where two users have used the same id.", default=None
    )


class ListOrders(WorkOrder):
    """List orders, the newest first, a page at a time. This needs the database."""

    request = "list_orders"
    immediate = True
    example = {"state": "failed", "page": 1}

    state: OrderState | None = quantity("Only orders in this state.", default=None)
    page: int = quantity("Which page.", "from 1", default=1, ge=1, le=1_000_000)
    page_size: int = quantity("Orders on a page.", default=50, ge=1, le=500)


class CancelOrder(WorkOrder):
    """Cancel an order: a queued one at once, a running one at its next checkpoint.

    This needs the database.
    """

    request = "cancel_order"
    immediate = True
    example = {"order": "1"}

    order: OrderId = quantity("The id of the order to cancel.")
    order_user: ShortText | None = quantity(
        "Whose order it is, where two users have used the same id.", default=None
    )
