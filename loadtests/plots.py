"""The plots of a benchmark: throughput, latency by percentile (closed and open loop), overload over time."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import targets as t
from results import Overload, Results

_COLOURS = {t.FLOOR: "#9a9a9a", t.PENSTOCK: "#1667b7", t.MLFLOW: "#e0822b"}


def draw_all(results: Results, out: Path) -> list[str]:
    """Writes PNGs into `out`; returns the same pictures as SVG."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "penstock"
    pictures = [_save(_throughput(results), out / "throughput.png")]
    for scenario, name in ((t.IRIS, "closed"), (t.OPEN_SLOW, "open-slow"), (t.OPEN_FAST, "open-fast")):
        if any(m.scenario == scenario for m in results.measurements):
            pictures.append(_save(_latency(results, scenario), out / f"latency-{name}.png"))
    for number, overload in enumerate(results.overloads, 1):
        pictures.append(_save(_overload(overload), out / f"overload-{number}.png"))
    return pictures


def _axes(height: float) -> tuple[Any, Any]:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, height))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _throughput(results: Results) -> Any:
    """Answers a second by load and server, on a logarithmic axis."""
    scenarios = list(dict.fromkeys(m.scenario for m in results.measurements if "open loop" not in m.scenario))
    figure, axes = _axes(1.2 + 0.55 * len(scenarios))
    for number, server in enumerate(_COLOURS):
        rows = [
            (place, results.find(s, server).median(t.RATE))
            for place, s in enumerate(scenarios)
            if results.has(s, server)
        ]
        if rows:
            places, rates = [place + (number - 1) * 0.27 for place, _ in rows], [rate for _, rate in rows]
            bars = axes.barh(places, rates, 0.25, label=server, color=_COLOURS[server])
            axes.bar_label(bars, [f" {rate:,.0f}" for rate in rates], fontsize=8)
    axes.set(yticks=range(len(scenarios)), yticklabels=scenarios, xscale="log", xlabel="answers a second (one core)")
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.legend(frameon=False, loc="lower right")
    return figure


def _latency(results: Results, scenario: str) -> Any:
    """Time by percentile, the tail stretched: each step to the right leaves a tenth of the requests."""
    figure, axes = _axes(4.2)
    longest = 0
    for server, colour in _COLOURS.items():
        if results.has(scenario, server):
            histogram = results.find(scenario, server).histogram
            points = histogram.curve()
            longest = max(longest, histogram.total)
            axes.plot([1 / (1 - s) for s, _ in points], [x * 1e3 for _, x in points], label=server, color=colour)
    ticks = [(1, "0 %"), (2, "50 %"), (10, "90 %"), (100, "99 %"), (1000, "99.9 %"), (10_000, "99.99 %")]
    ticks = [tick for tick in ticks if tick[0] <= max(longest, 2)]
    axes.set(xscale="log", yscale="log", xlabel="share of the requests that took at most this long", ylabel="ms")
    axes.set_xticks([x for x, _ in ticks], [word for _, word in ticks])
    axes.set_title(scenario)
    axes.minorticks_off()
    axes.legend(frameon=False)
    axes.grid(axis="y", alpha=0.3)
    return figure


def _overload(overload: Overload) -> Any:
    """Good answers and refusals by second, and the server's memory."""
    figure, axes = _axes(4.2)
    seconds = overload.during["by_second"]
    good = [second.get("200", 0) for second in seconds]
    other = [sum(second.values()) - second.get("200", 0) for second in seconds]
    axes.plot(good, color=_COLOURS[t.PENSTOCK], label="good answers")
    axes.plot(other, color="#b3261e", label="others (429)")
    axes.axhline(overload.capacity, color="#9a9a9a", linestyle="--", label="capacity")
    axes.set(xlabel="seconds", ylabel="a second", title=overload.scenario, ylim=(0, None))
    memory = axes.twinx()
    memory.plot(*zip(*overload.memory, strict=True) if overload.memory else ([], []), color="#17703a", label="memory")
    memory.set(ylabel="MB", ylim=(0, None))
    axes.legend(frameon=False, loc="lower left")
    memory.legend(frameon=False, loc="lower right")
    return figure


def _save(figure: Any, path: Path) -> str:
    import matplotlib.pyplot as plt

    figure.tight_layout()
    figure.savefig(path, dpi=130)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    plt.close(figure)
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]
