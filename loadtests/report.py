"""A benchmark's results for people: result.md, result.html (one file, no network) and the plots as PNG."""

from __future__ import annotations

import html
import math
from pathlib import Path

from plots import draw_all
from results import Overload, Results
from targets import BOUNDED, CPU, RATE, TARGETS

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .25em .8em; border-bottom: 1px solid #ddd }
th { text-align: left } td.number { text-align: right; font-variant-numeric: tabular-nums }
.pass, .stretch { color: #17703a } .FAIL { color: #b3261e; font-weight: bold } svg { max-width: 100%; height: auto }
"""

Rows = list[list[str]]


def write_report(results: Results, out: Path) -> str:
    """Writes everything into `out` and returns the text of result.md."""
    text = as_markdown(results)
    (out / "result.md").write_text(text)
    (out / "result.html").write_text(as_html(results, draw_all(results, out)))
    return text


def tables(results: Results) -> list[tuple[str, list[str], Rows]]:
    """(title, heads, rows) of each table; cells are text."""
    found = [
        ("Targets", ["ratio", "measured", "wanted", "mark", "by processor time"], _targets(results)),
        ("Loads", ["load", "server", "answers/s", "p50 ms", "p99 ms", "p99.9 ms", "sent late", "CPU µs/answer", "generator's core",
                   "ready s", "MB", "other than 200"], _loads(results)),
    ]  # fmt: skip
    if results.overloads:
        heads = ["load", "capacity /s", "good answers/s", "goodput", "p99 of accepted ms", "answers", "memory"]
        found.append(("Overload", heads, [_overload(o) for o in results.overloads]))
    if results.runs:
        found.append(("Locust", ["run", "result"], [[name, said] for name, said in results.runs.items()]))
    return found


def _targets(results: Results) -> Rows:
    rows = []
    for target in TARGETS:
        figure, mark = target.judge(results)
        rows.append([target.name, _number(figure), target.wanted, mark, _number(target.by_processor(results))])
    return rows


def _loads(results: Results) -> Rows:
    rows = []
    for m in results.measurements:
        late = sum(r["late"] for r in m.rounds)
        times = [f"{m.histogram.percentile(share) * 1e3:,.2f}" for share in (0.5, 0.99, 0.999)]
        rows.append(
            [m.scenario, m.server, f"{m.median(RATE):,.0f}", *times, f"{late:,}" if late else "", f"{m.median(CPU):,.0f}", f"{m.median('cpu'):.0%}",
             f"{m.seconds_to_ready:.1f}", f"{m.megabytes:.0f}", m.troubles]
        )  # fmt: skip
    for name, rates in results.loops.items():
        rows.append([name, "", f"{sorted(rates)[len(rates) // 2]:,.0f}", *[""] * 9])
    return rows


def _overload(o: Overload) -> list[str]:
    statuses = ", ".join(f"{count:,} × {status}" for status, count in o.during["statuses"].items())
    lost = "".join(f", {o.during[key]:,} {key}" for key in ("errors", "unanswered") if o.during[key])
    memory = f"{o.memory[0][1]:.0f} to {o.memory[-1][1]:.0f} MB" if o.memory else ""
    return [
        o.scenario, f"{o.capacity:,.0f}", f"{o.during[RATE]:,.0f}", f"{o.goodput:.0%}", f"{o.during['p99']:,.0f}",
        statuses + lost, memory,
    ]  # fmt: skip


def _number(figure: float) -> str:
    if math.isnan(figure):
        return ""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.2f}"


def as_markdown(results: Results) -> str:
    lines = ["# Benchmark", ""]
    lines += [f"- {name}: {fact}" for name, fact in results.machine.items()]
    for title, heads, rows in tables(results):
        lines += ["", f"## {title}", "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", _NOTE, ""])


_NOTE = (
    "A ratio is the median of the rounds' ratios. Latencies are of all rounds together, without the warm-up; in an open "
    "loop they count from the moment a request was due. `By processor time` is the ratio of rates that the servers' processor "
    "time for an answer gives, which neighbours on the machine disturb less. `sent late` are requests sent more than 1 ms after that. Where "
    "`generator's core` is near 100 %, the generator was the limit and not the server. Bounded means that 99 of 100 "
    f"accepted requests are answered within {BOUNDED:,.0f} ms."
)


def as_html(results: Results, pictures: list[str]) -> str:
    """`pictures` are SVG, put into the page as they are."""
    facts = "".join(f"<li>{html.escape(f'{name}: {fact}')}</li>" for name, fact in results.machine.items())
    parts = [f"<h1>Benchmark</h1><ul>{facts}</ul>"]
    for title, heads, rows in tables(results):
        head = "".join(f"<th>{html.escape(text)}</th>" for text in heads)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
        parts.append(f"<h2>{title}</h2><table><tr>{head}</tr>{body}</table>")
    parts.append(f"<p>{html.escape(_NOTE)}</p>")
    parts += pictures
    head = f'<meta charset="utf-8"><title>Benchmark</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>'


def _cell(text: str) -> str:
    kind = text if text in ("pass", "stretch", "FAIL") else "number" if text[:1].isdigit() else ""
    return f'<td class="{kind}">{html.escape(text)}</td>'
