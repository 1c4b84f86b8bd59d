"""CloudWatch's alarms, as far as ours go: what state one is in after these figures.

The emulator has no metric math, and real CloudWatch takes no figures for AWS's own metrics.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: One metric as CloudWatch tells it from others: namespace, name, all (dimension, value).
Metric = tuple[str, str, frozenset[tuple[str, str]]]
#: A value for each period, the newest last; None: there was none.
Figures = Mapping[Metric, Sequence[float | None]]


def identity(metric: Mapping[str, Any]) -> Metric:
    """What CloudWatch finds a metric by: under another dimension there are no figures at all."""
    return metric["namespace"], metric["metric_name"], frozenset(metric["dimensions"].items())


def state(alarm: Mapping[str, Any], figures: Figures, *, quota: float = 100) -> str:
    """`OK` or `ALARM`."""
    periods = alarm["evaluation_periods"]
    values = _values(alarm, figures, periods, quota)[-periods:]
    assert alarm["comparison_operator"] == "GreaterThanThreshold"
    assert alarm["treat_missing_data"] == "notBreaching"
    breaching = [value is not None and value > alarm["threshold"] for value in values]
    return "ALARM" if all(breaching) else "OK"


def _values(
    alarm: Mapping[str, Any], figures: Figures, periods: int, quota: float
) -> list[float | None]:
    if alarm["metric_name"]:
        return _series(alarm, figures, periods)
    known = {
        query["id"]: _series(query["metric"][0], figures, periods)
        for query in alarm["metric_query"]
        if query["metric"]
    }
    [returned] = [query for query in alarm["metric_query"] if query["return_data"]]
    names: dict[str, Callable[..., Any]] = {
        "IF": lambda condition, then, otherwise: then if condition else otherwise,
        "FILL": lambda value, instead: instead if value is None else value,
        "SERVICE_QUOTA": lambda usage: quota,
    }
    values: list[float | None] = []
    for number in range(periods):
        at = {name: series[number] for name, series in known.items()}
        try:
            values.append(eval(returned["expression"], {"__builtins__": {}}, names | at))
        except TypeError:
            values.append(None)  # arithmetic with a figure that is not there
    return values


def _series(metric: Mapping[str, Any], figures: Figures, periods: int) -> list[float | None]:
    given = list(figures.get(identity(metric), ()))
    return [None] * (periods - len(given)) + given[-periods:]
