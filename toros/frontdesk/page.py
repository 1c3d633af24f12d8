"""The page that a GET shows: the daemon's requests, for a person."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Any

import toros
from toros.frontdesk.registry import describe_request
from toros.workorders import WorkOrder

_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}"
    "td,th{border:1px solid #999;padding:.2rem .6rem;text-align:left}"
    "pre{background:#eee;padding:.6rem;overflow:auto}h2{margin-top:2rem}"
)

_COMMON = tuple(WorkOrder.model_fields)


def front_page(service: str, requests: Iterable[type[WorkOrder]]) -> str:
    """Write the page that lists a daemon's requests with fields, units and examples."""
    described = [describe_request(request) for request in requests]
    names = "".join(
        f"<li><a href='#{escape(one['request'])}'>{escape(one['request'])}</a>: "
        f"{escape(one['description'].partition(chr(10))[0])}</li>"
        for one in described
    )
    common = [field for one in described[:1] for field in one["fields"] if field["name"] in _COMMON]
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f"<title>TOROS {escape(service)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>TOROS {escape(service)} {escape(toros.__version__)}</h1>",
        "<p>This is a front desk. It takes work orders over XML-RPC: POST to this address, "
        "function <code>front_desk(work_order)</code>, a dictionary with the key "
        "<code>request</code>. From a shell: "
        f"<code>toros-submit {escape(service)} REQUEST KEY=VALUE</code>.</p>",
        f"<ul>{names}</ul>",
        "<h2>Keys that every request takes</h2>",
        _table(common),
    ]
    parts += [_section(one) for one in described]
    parts.append("</body></html>")
    return "\n".join(parts)


def _section(described: dict[str, Any]) -> str:
    how = "answered at once" if described["immediate"] else "queued, answered with a receipt"
    own = [field for field in described["fields"] if field["name"] not in _COMMON]
    name = escape(described["request"])
    return (
        f"<h2 id='{name}'>{name}</h2><p>{escape(described['description'])} ({how})</p>"
        f"{_table(own) if own else ''}"
        f"<pre>{escape(json.dumps(described['example'], indent=2))}</pre>"
    )


def _table(fields: Iterable[dict[str, Any]]) -> str:
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape(str(cell))}</td>"
            for cell in (
                field["name"],
                field["type"],
                field["unit"] or "",
                _presence(field),
                field["description"],
            )
        )
        + "</tr>"
        for field in fields
    )
    heads = "".join(f"<th>{head}</th>" for head in ("key", "type", "unit", "", "meaning"))
    return f"<table><tr>{heads}</tr>{rows}</table>"


def _presence(field: dict[str, Any]) -> str:
    if field["required"]:
        return "required"
    return "optional" if field["default"] is None else f"default {field['default']}"
