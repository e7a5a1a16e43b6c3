"""The benchmark's result as a table, as ratios against what was set out to reach, and as plots."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench import Results

IRIS, ONE = "iris, 1 row, 64 connections", "iris, 1 row, 1 connection"
IRIS_64 = "iris, 64 rows, 16 connections"
FOREST, FOREST_ONNX = "forest, 1 row, 64 connections", "forest as ONNX, 1 row, 64 connections"
ONNX_ONE = "forest as ONNX, 1 row, 1 connection"
WIDE, WIDE_LOOP = "forest as ONNX, 1000 × 30 JSON", "forest as ONNX, 1000 × 30, bare loop"
EMPTY, EMPTY_ARROW = "no model, 1000 × 30 JSON", "no model, 1000 × 30 Arrow"
OVERLOAD = "forest, overload at 2 × capacity"

Target = tuple[str, Callable[["Results"], float], str, float]

_MORE, _LESS = "at least", "at most"


def _ratio(scenario: str, other: str) -> Callable[[Results], float]:
    return lambda r: r.rate(scenario, "Penstock") / r.rate(scenario, other)


TARGETS: list[Target] = [
    ("scikit-learn, 1 row: rate / MLflow's", _ratio(IRIS, "MLflow"), _MORE, 35),
    ("scikit-learn, 1 row: rate / the floor's", _ratio(IRIS, "floor"), _MORE, 0.33),
    ("scikit-learn, 1 row: p99 / the floor's", lambda r: r.value(IRIS, "Penstock", "p99") / r.value(IRIS, "floor", "p99"), _LESS, 2),
    ("1 connection: p50 / MLflow's", lambda r: r.value(ONE, "Penstock", "p50") / r.value(ONE, "MLflow", "p50"), _LESS, 0.25),
    ("1 connection, ONNX: p50 / the floor's", lambda r: r.value(ONNX_ONE, "Penstock", "p50") / r.value(ONNX_ONE, "floor", "p50"), _LESS, 3),
    ("64 rows: rate / MLflow's", _ratio(IRIS_64, "MLflow"), _MORE, 18),
    ("random forest, 1 row: rate / MLflow's", _ratio(FOREST, "MLflow"), _MORE, 20),
    ("the forest as ONNX: rate / the floor's", _ratio(FOREST_ONNX, "floor"), _MORE, 0.25),
    ("1000 × 30 JSON: rate / the bare loop's", lambda r: r.rate(WIDE, "Penstock") / r.notes[WIDE_LOOP], _MORE, 0.6),
    ("Arrow: rate / JSON's", lambda r: r.rate(EMPTY_ARROW, "Penstock") / r.rate(EMPTY, "Penstock"), _MORE, 3),
    ("overload at 2 ×: goodput / capacity", lambda r: r.rate(OVERLOAD, "Penstock") / r.rate(FOREST, "Penstock"), _MORE, 0.85),
    ("memory, ONNX server, MB", lambda r: _megabytes(r, FOREST_ONNX), _LESS, 100),
    ("memory, scikit-learn server, MB", lambda r: _megabytes(r, IRIS), _LESS, 220),
]  # fmt: skip


def _megabytes(results: Results, scenario: str) -> float:
    return next(r.megabytes for r in results.rows if r.scenario == scenario and r.server == "Penstock")


def write_report(results: Results, out: Path) -> str:
    """Writes result.md, the PNGs and result.html; returns the table."""
    text = table(results)
    (out / "result.md").write_text(text)
    pictures = [_throughput(results, out / "throughput.png"), _latency(results, out / "latency.png")]
    images = "".join(
        f'<img alt="" src="data:image/png;base64,{base64.b64encode(p.read_bytes()).decode()}">' for p in pictures
    )
    page = f"<!doctype html><meta charset=utf-8><title>Benchmark</title><pre>{html.escape(text)}</pre>{images}"
    (out / "result.html").write_text(page)
    return text


def table(results: Results) -> str:
    lines = [
        f"{results.machine}",
        "",
        "| load | server | answers/s | p50 ms | p99 ms | ready s | MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results.rows:
        r: dict[str, Any] = row.result
        others = {k: v for k, v in r["statuses"].items() if k != "200"}
        note = f" ({', '.join(f'{v} × {k}' for k, v in others.items())})" if others else ""
        lines.append(
            f"| {row.scenario} | {row.server} | {r['ok_per_second']:,.0f}{note} | {r['p50']:.2f} | {r['p99']:.2f} "
            f"| {row.seconds_to_ready:.1f} | {row.megabytes:.0f} |"
        )
    lines += [f"| {name} | none | {rate:,.0f} | | | | |" for name, rate in results.notes.items()]
    lines += ["", "| ratio | measured | to reach | |", "|---|---|---|---|"]
    for name, measure, how, goal in TARGETS:
        try:
            found = measure(results)
        except StopIteration:
            continue
        reached = found >= goal if how == _MORE else found <= goal
        lines.append(f"| {name} | {found:.2f} | {how} {goal:g} | {'reached' if reached else 'missed'} |")
    return "\n".join(lines) + "\n"


_COLOURS = {"floor": "#b8b8b8", "Penstock": "#1667b7", "MLflow": "#e0822b"}


def _throughput(results: Results, path: Path) -> Path:
    """Answers a second, by load and server, on a logarithmic axis."""
    plt = _pyplot()
    scenarios = [s for s in (IRIS, ONE, IRIS_64, FOREST) if any(r.scenario == s for r in results.rows)]
    figure, axes = plt.subplots(figsize=(8, 4.2))
    for number, server in enumerate(_COLOURS):
        rates = [results.rate(s, server) if results.has(s, server) else 0 for s in scenarios]
        places = [i + (number - 1) * 0.27 for i in range(len(scenarios))]
        bars = axes.barh(places, rates, 0.25, label=server, color=_COLOURS[server])
        axes.bar_label(bars, [f" {rate:,.0f}" if rate else "" for rate in rates], fontsize=8)
    axes.set(yticks=range(len(scenarios)), yticklabels=scenarios, xscale="log", xlabel="answers a second (one core)")
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    return _save(plt, figure, path)


def _latency(results: Results, path: Path) -> Path:
    """Time by percentile at 64 connections."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(8, 4.2))
    for server, colour in _COLOURS.items():
        if results.has(IRIS, server):
            times = results._find(IRIS, server).result["histogram"]
            axes.plot([i / 2 for i in range(len(times))], times, label=server, color=colour)
    axes.set(xlabel="percentile", ylabel="ms", yscale="log", title=IRIS)
    axes.legend(frameon=False)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return _save(plt, figure, path)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _save(plt: Any, figure: Any, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
