"""The page that a GET shows: the daemon's requests, for a person."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape

import toros
from toros.frontdesk.registry import describe_request
from toros.workorders import WorkOrder

_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}"
    "td,th{border:1px solid #999;padding:.2rem .6rem;text-align:left}"
    "pre{background:#eee;padding:.6rem;overflow:auto}h2{margin-top:2rem}"
)


def front_page(service: str, requests: Iterable[type[WorkOrder]]) -> str:
    """Write the page that lists a daemon's requests with fields, units and examples."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f"<title>TOROS {escape(service)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>TOROS {escape(service)} {escape(toros.__version__)}</h1>",
        "<p>This is a front desk. It takes work orders over XML-RPC: POST to this address, "
        "function <code>front_desk(work_order)</code>.</p>",
    ]
    parts += [_section(request) for request in requests]
    parts.append("</body></html>")
    return "\n".join(parts)


def _section(request: type[WorkOrder]) -> str:
    described = describe_request(request)
    how = "answered at once" if described["immediate"] else "queued, answered with a receipt"
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape(str(cell))}</td>"
            for cell in (
                field["name"],
                field["type"],
                field["unit"] or "",
                "required" if field["required"] else f"default {field['default']}",
                field["description"],
            )
        )
        + "</tr>"
        for field in described["fields"]
    )
    return (
        f"<h2 id='{escape(request.request)}'>{escape(request.request)}</h2>"
        f"<p>{escape(described['description'])} ({how})</p>"
        "<table><tr><th>field</th><th>type</th><th>unit</th><th></th><th>meaning</th></tr>"
        f"{rows}</table><pre>{escape(json.dumps(described['example'], indent=2))}</pre>"
    )
