"""Writes the reference from the code: settings, requests, status codes, steps, tables.

A page says where with a line of its own, ``<!-- reference: settings -->``, which is
replaced by Markdown when Sphinx reads the page. So nothing can be listed twice, or
forgotten.
"""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MARK = re.compile(r"^<!-- reference: (\w+) -->$", re.MULTILINE)


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Write a Markdown table; cells are Markdown already."""
    heads = list(headings)
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]


def code(value: object) -> str:
    """Write a value as it stands in YAML and JSON, for a table's cell."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`"


def escaped(text: str) -> str:
    """Keep Markdown from reading signs of its own out of plain text."""
    return re.sub(r"([*_<>\[\]$])", r"\\\1", " ".join(text.split()))


def prose(docstring: str | None) -> str:
    """Turn a docstring's text into Markdown: code in single backquotes, paragraphs kept."""
    text = inspect.cleandoc(docstring or "").split("\nAttributes\n")[0].split("\nParameters\n")[0]
    return text.replace("``", "`").strip()


# ---- what stands in the reference --------------------------------------------------------------


def settings() -> Iterator[str]:
    """List every setting, a section of the file under a heading of its own."""
    from toros.config import describe

    sections: dict[str, list[Any]] = {"": []}
    for setting in describe():
        sections.setdefault(setting.section, []).append(setting)
    for section, members in sections.items():
        yield from (f"## {section or 'At the top of the file'}", "")
        rows = [
            (
                f"**{escaped(setting.key)}**",
                escaped(setting.description),
                escaped(setting.type),
                "required" if setting.default == "(required)" else code(setting.default),
            )
            for setting in members
        ]
        yield from (*table(("Key", "Meaning", "Value", "Default"), rows), "")


def requests() -> Iterator[str]:
    """Describe every request: what every daemon answers, then each daemon's own."""
    from toros.workorders import COMMON, REQUESTS, WorkOrder

    yield from ("## The envelope", "", prose(WorkOrder.__doc__), "")
    yield from _fields(WorkOrder.model_fields, ())
    for service, classes in {"every daemon": COMMON, **REQUESTS}.items():
        heading = "Every daemon" if service == "every daemon" else f"The {service}"
        yield from (f"## {heading}", "")
        for cls in classes:
            yield from _request(cls, "preprocessor" if service == "every daemon" else service)


def _request(cls: Any, service: str) -> Iterator[str]:
    from toros.workorders import WorkOrder

    how = "Answered at once." if cls.immediate else "Queued; answered with a receipt."
    also = f" Also taken as {', '.join(code(name) for name in cls.aliases)}." if cls.aliases else ""
    yield from (f"### {cls.request}", "", f"{prose(cls.__doc__)}", "", f"{how}{also}", "")
    yield from _fields(cls.model_fields, WorkOrder.model_fields)
    words = [f"{key}={_word(value)}" for key, value in cls.example.items()]
    yield from ("```sh", " ".join(["toros-submit", service, cls.request, *words]), "```", "")


def _word(value: object) -> str:
    return shlex.quote(value if isinstance(value, str) else json.dumps(value))


def _fields(fields: Any, without: Iterable[str]) -> Iterator[str]:
    known = set(without)
    rows = []
    for name, field in fields.items():
        if name in known:
            continue
        extra = field.json_schema_extra or {}
        rows.append(
            (
                f"**{escaped(name)}**",
                escaped(field.description or ""),
                extra.get("unit", ""),
                "required" if field.is_required() else code(field.default),
            )
        )
    if rows:
        yield from (*table(("Key", "Meaning", "Unit", "Default"), rows), "")


def status_codes() -> Iterator[str]:
    """List every error class with its code, and success."""
    from toros.errors import SUCCESS, error_classes

    rows = [(str(SUCCESS), "", "success")]
    rows += [(str(c.code), f"`{c.__name__}`", escaped(c.description)) for c in error_classes()]
    yield from (*table(("Code", "Class in `toros.errors`", "Meaning"), rows), "")


def steps() -> Iterator[str]:
    """Describe every reduction step with its own settings."""
    from toros.preprocessor.steps import STEPS

    for name, step in STEPS.items():
        module = inspect.cleandoc(inspect.getmodule(step.reduce).__doc__ or "")
        text = re.sub(r" ?\[\d+\]_", "", module.split("\nReferences\n")[0]).strip()
        yield from (f"### {name}", "", "```{eval-rst}", text, "```", "")
        rows = [
            ("works on", f"frames of type {step.consumes}"),
            ("makes", f"`{step.makes}`, one for each {'group' if step.combines else 'frame'}"),
            ("groups by", ", ".join(("camera", "temperature", *map(code, step.group_by)))),
            ("needs", ", ".join(map(code, step.needs)) or "nothing"),
            ("makes use of", ", ".join(map(code, step.welcomes)) or "nothing"),
        ]
        if not step.combines:
            del rows[2]
        yield from (*table(("", ""), [(f"**{head}**", text) for head, text in rows]), "")
        own = [
            (
                f"**{escaped(field.alias or key)}**",
                escaped(field.description or ""),
                code(field.get_default(call_default_factory=True)),
            )
            for key, field in step.settings.model_fields.items()
        ]
        if own:
            yield from (*table(("Key", "Meaning", "Default"), own), "")
        else:
            yield from ("It has no settings of its own.", "")


def tables() -> Iterator[str]:
    """Describe every table of the database."""
    from toros.database import alert_tables, messages, observing  # noqa: F401  (their tables)
    from toros.database.models import Base

    documented = {m.local_table.name: prose(m.class_.__doc__) for m in Base.registry.mappers}
    for entry in Base.metadata.sorted_tables:
        linked = ", ".join(sorted(key.column.table.name for key in entry.foreign_keys))
        yield from (f"### {entry.name}", "", documented.get(entry.name, f"Ties {linked}."), "")
        rows = []
        for column in entry.columns:
            keys = [f"→ {key.target_fullname}" for key in column.foreign_keys]
            marks = ["primary key"] * column.primary_key + ["unique"] * bool(column.unique)
            rows.append(
                (
                    f"**{escaped(column.name)}**",
                    str(column.type).lower(),
                    "may be null" if column.nullable else "",
                    escaped(", ".join([*filter(None, [column.doc]), *marks, *keys])),
                )
            )
        yield from (*table(("Column", "Type", "", "Notes"), rows), "")


def mask_bits() -> Iterator[str]:
    """List the bits of a product's mask."""
    from toros.preprocessor.steps.base import MASK_BITS

    rows = [(str(bit), f"`{name}`", escaped(text)) for bit, (name, text) in MASK_BITS.items()]
    yield from (*table(("Bit's value", "Name", "Meaning"), rows), "")


def figures() -> Iterator[str]:
    """List the keywords of what a step measured, with their names in the report."""
    from toros.preprocessor.provenance import FIGURES

    rows = [(f"`{key}`", f"`{name}`", escaped(text)) for name, (key, text) in FIGURES.items()]
    yield from (*table(("Keyword", "In the report", "Meaning"), rows), "")


# Where each state stands in the diagram: column and row.
_PLACES = {
    "closed": (0, 1), "preparing": (1, 1), "open": (2, 1), "observing": (3, 1),
    "calibrating": (2, 0), "suspended": (3, 2), "closing": (1, 2), "error": (0, 2),
}  # fmt: skip


def night_states() -> Iterator[str]:
    """Draw the states of a night by their table, and list both."""
    from toros.telescope.states import MEANINGS, TABLE, Event

    yield from ("```{raw} html", _diagram(), "```", "")
    rows = [(f"**{state}**", escaped(text)) for state, text in MEANINGS.items()]
    yield from (*table(("State", "Meaning"), rows), "")
    ways = [
        (f"**{before}**", code(str(event)), f"**{then}**")
        for (before, event), then in TABLE.items()
        if event is not Event.FAULT
    ]
    ways.append(("any but **error**", code(str(Event.FAULT)), "**error**"))
    yield from (*table(("From", "By", "To"), ways), "")


def _diagram() -> str:
    """Draw the table of states as SVG, without the faults, which lead from everywhere to error."""
    import io

    from matplotlib.figure import Figure

    from toros.telescope.states import TABLE, Event, State

    figure = Figure(figsize=(8.5, 4.6))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.5, 3.6), ylim=(2.5, -0.5))
    axes.axis("off")
    ways: dict[tuple[str, str], list[str]] = {}
    for (before, event), then in TABLE.items():
        if event is not Event.FAULT:
            ways.setdefault((before.value, then.value), []).append(event.value)
    for (before, then), events in ways.items():
        style = {"arrowstyle": "-|>", "color": "#555555", "connectionstyle": "arc3,rad=0.16",
                 "shrinkA": 26, "shrinkB": 26}  # fmt: skip
        axes.annotate("", _PLACES[then], _PLACES[before], arrowprops=style)
        (x0, y0), (x1, y1) = _PLACES[before], _PLACES[then]
        # On the arc, as matplotlib bends it, a little nearer to where it begins.
        middle = (
            0.55 * x0 + 0.45 * x1 - 0.06 * (y1 - y0),
            0.55 * y0 + 0.45 * y1 + 0.11 * (x1 - x0),
        )
        plain = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"}
        axes.text(*middle, ", ".join(events), fontsize=6, ha="center", va="center", bbox=plain)
    for state in State:
        box = {"boxstyle": "round,pad=0.5", "fc": "#eef3fa", "ec": "#3b6ea5"}
        axes.text(*_PLACES[state.value], state.value, ha="center", va="center", bbox=box)
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return out.getvalue()[out.getvalue().index("<svg") :]


GENERATED: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings,
    "requests": requests,
    "status_codes": status_codes,
    "steps": steps,
    "night_states": night_states,
    "tables": tables,
    "mask_bits": mask_bits,
    "figures": figures,
}


# ---- Sphinx ------------------------------------------------------------------------------------


def insert(text: str) -> str:
    """Replace the marks of a page by what they ask for."""
    return MARK.sub(lambda mark: "\n".join(GENERATED[mark[1]]()), text)


def _on_read(_app: Any, _page: str, source: list[str]) -> None:
    source[0] = insert(source[0])


def _outdated(app: Any, env: Any, *_: Any) -> list[str]:
    """Read the pages with marks anew at each build: the code may have changed."""
    return [page for page in env.found_docs if MARK.search(env.doc2path(page).read_text("utf-8"))]


def setup(app: Any) -> dict[str, Any]:
    """Tie the extension to Sphinx."""
    app.connect("source-read", _on_read)
    app.connect("env-get-outdated", _outdated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
