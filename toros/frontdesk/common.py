"""The requests that every daemon answers at once."""

from __future__ import annotations

from typing import Any

import toros
from toros.frontdesk.desk import Asked
from toros.frontdesk.registry import Registry, describe_request
from toros.workorders import CancelOrder, Describe, ListOrders, Status

registry = Registry("every daemon")


@registry.serves(Describe)
def describe(_order: Describe, asked: Asked) -> dict[str, Any]:
    """List the daemon's requests."""
    return {
        "service": asked.desk.service,
        "version": toros.__version__,
        "requests": [describe_request(request) for request in asked.desk.handlers],
    }


@registry.serves(Status)
def status(order: Status, asked: Asked) -> dict[str, Any]:
    """Tell how the daemon is, or what became of an order."""
    if order.order is None:
        return asked.desk.state()
    own = asked.desk.resources.tell_order(order.order, order.order_user)
    if own is not None:
        return own
    return asked.desk.orders.tell(order.order, order.order_user, asked.caller.user)


@registry.serves(ListOrders)
def list_orders(order: ListOrders, asked: Asked) -> dict[str, Any]:
    """List orders, a page at a time."""
    return asked.desk.orders.page(order.state, order.page, order.page_size)


@registry.serves(CancelOrder)
def cancel_order(order: CancelOrder, asked: Asked) -> dict[str, Any]:
    """Cancel an order; a user of limited permissions cancels only orders of their own."""
    user = asked.caller.user
    only_own = not asked.desk.access.is_unlimited(user)
    told = asked.desk.orders.cancel(order.order, order.order_user, user, only_own=only_own)
    asked.desk.wake()
    return told
