"""Writes helm/penstock/dashboards/penstock.json, the Grafana dashboard: python docs/make_dashboard.py

What is shown stands in dashboard_panels.py; how it is drawn, here. Nothing in it needs Kubernetes: where series carry no
`namespace`, All means them too.
"""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmaps
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

sys.path.insert(0, str(Path(__file__).parent))  # docs/ is no package

from dashboard_panels import ROWS, RUNBOOK, Panel

TARGET = Path(__file__).parents[1] / "helm" / "penstock" / "dashboards" / "penstock.json"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
EVERYTHING = ".*"  # what All stands for: also series without the label, which a list of the known values would miss


def build() -> str:
    """The dashboard as JSON."""
    made = (
        dashboard.Dashboard("Penstock")
        .uid("penstock")
        .description(
            "A model-serving gateway: traffic, latency, saturation, versions and processes; and the hub beside it."
        )
        .tags(["penstock", "model-serving"])
        .editable()
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(_link("Runbook", "${runbook}"))
    )
    for variable in _variables():
        made = made.with_variable(variable)
    made = made.annotation(_swaps())
    numbers = count(1)
    for title, panels in ROWS.items():
        made = made.with_row(dashboard.Row(title).id(next(numbers)))
        for panel in panels:
            made = made.with_panel(_panel(panel).id(next(numbers)))
    plain = json.loads(JSONEncoder().encode(made.build()))
    for variable in plain["templating"]["list"]:
        for stray in ("auto", "auto_count", "auto_min"):  # of intervals, which these are not
            variable.pop(stray, None)
    plain["annotations"]["list"][0] |= {"titleFormat": "{{kind}} of {{model}}", "tagKeys": "model"}
    return json.dumps(plain, indent=2, sort_keys=True) + "\n"


def _link(title: str, url: str) -> Any:
    return dashboard.DashboardLink(title).type(models.DashboardLinkType.LINK).url(url).target_blank(True)


def _variables() -> list[Any]:
    known = {
        "namespace": 'label_values({__name__=~"penstock_ready|penstock_hub_ready"}, namespace)',
        "model": 'label_values(penstock_model_info{namespace=~"$namespace"}, model)',
        "version": 'label_values(penstock_model_info{namespace=~"$namespace", model=~"$model"}, version)',
    }
    queries = [
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(EVERYTHING)
        .current(models.VariableOption(text="All", value="$__all", selected=True))
        for name, query in known.items()
    ]
    runbook = dashboard.TextBoxVariable("runbook").label("Runbook").default_value(RUNBOOK)
    runbook = runbook.current(models.VariableOption(text=RUNBOOK, value=RUNBOOK, selected=True))
    return [
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        *queries,
        runbook.hide(models.VariableHide.HIDE_VARIABLE),
    ]


def _swaps() -> Any:
    """A line in every graph where a version took over."""
    return (
        dashboard.AnnotationQuery()
        .name("Swaps")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("blue")
        .expr(
            'sum by (model, kind) (changes(penstock_swaps_total{namespace=~"$namespace", model=~"$model"}[$__interval])) > 0'
        )
    )


def _panel(panel: Panel) -> Any:
    made = {"timeseries": _timeseries, "stat": _stat, "heatmap": _heatmap, "table": _table}[panel.kind](panel)
    made = made.title(panel.title).description(panel.description).datasource(SOURCE).unit(panel.unit)
    made = made.height(panel.height).span(panel.width).thresholds(_thresholds(panel))
    if panel.runbook:
        made = made.links([_link("Runbook", f"${{runbook}}#{panel.runbook}")])
    for letter, (expression, legend) in zip("ABCDEF", panel.queries, strict=False):
        made = made.with_target(_query(panel, letter, expression, legend))
    return made


def _query(panel: Panel, letter: str, expression: str, legend: str) -> Any:
    query = prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend).datasource(SOURCE)
    if panel.kind == "heatmap":
        return query.format(PromQueryFormat.HEATMAP).range()
    if panel.kind == "table":
        return query.format(PromQueryFormat.TABLE).instant()
    return query.range()


def _thresholds(panel: Panel) -> Any:
    colours = ["green", "orange", "red"] if panel.worse == "high" else ["red", "green"]
    bounds = [None, *panel.thresholds]
    steps = [models.Threshold(value=bound, color=colour) for bound, colour in zip(bounds, colours, strict=False)]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _timeseries(panel: Panel) -> Any:
    made = (
        timeseries.Panel()
        .min(0)
        .line_width(1)
        .fill_opacity(30 if panel.stacked else 8)
        .show_points(kinds.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(kinds.LegendDisplayMode.TABLE)
            .placement(kinds.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["mean", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
        .thresholds_style(
            common.GraphThresholdsStyleConfig().mode(
                kinds.GraphThresholdsStyleMode.DASHED if panel.thresholds else kinds.GraphThresholdsStyleMode.OFF
            )
        )
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
    )
    return made.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A")) if panel.stacked else made


def _stat(panel: Panel) -> Any:
    return (
        stat.Panel()
        .color_mode(kinds.BigValueColorMode.VALUE)
        .graph_mode(kinds.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def _heatmap(panel: Panel) -> Any:
    return (
        heatmap.Panel()
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(panel.unit))
        .color(heatmap.HeatmapColorOptions().mode(heatmaps.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .cell_gap(1)
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .show_legend()
    )


def _table(panel: Panel) -> Any:
    hidden = {
        name: True for name in ("Time", "Value", "__name__", "job", "namespace", "container", "endpoint", "service")
    }
    return (
        table.Panel()
        .show_header(True)
        .with_transformation(models.DataTransformerConfig(id_val="organize", options={"excludeByName": hidden}))
    )


if __name__ == "__main__":
    TARGET.write_text(build())
