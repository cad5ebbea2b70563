# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CloudWatch: GetMetricData, GetMetricStatistics, ListMetrics, PutMetricData and alarms."""

from __future__ import annotations

import ast
import bisect
import collections
import json
import re
import typing as t

import numpy as np

from simulator import metrics
from simulator.errors import AwsError
from simulator.metric_store import Statistic, Window, evaluate, parse_statistic, retained_from, rounded_start
from simulator.registry import operation, page, region_of
from simulator.state import Alarm, Cloud, CustomMetric, Region
from simulator.wire import Call

if t.TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

_Dict = dict[str, t.Any]
MAXIMUM_QUERIES = 500
MAXIMUM_DATAPOINTS = 100_800
_SHORT_PERIODS = (1, 5, 10, 20, 30)


def _dimensions(rows: t.Sequence[t.Mapping[str, str]]) -> metrics.Dimensions:
    return tuple(sorted((row["Name"], row["Value"]) for row in rows))


def _window(cloud: Cloud, start: float, end: float, period: int) -> Window:
    if start >= end:
        raise AwsError("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")
    if period not in _SHORT_PERIODS and period % 60:
        raise AwsError("ValidationError", "The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
    now = cloud.clock.now()
    first = rounded_start(start, now)
    # Data points older than what is kept for this period are not there; whole periods are left out.
    oldest = retained_from(period, now)
    if oldest > first:
        first += -(-(oldest - first) // period) * period
    return Window(first, period, max(0, int(-(-(end - first) // period))), min(now, end))


class _Result(t.NamedTuple):
    identifier: str
    label: str
    times: list[float]
    values: list[float]


#: The last few answers, so that the pages of one request are not computed anew.
_recent: collections.OrderedDict[tuple[t.Any, ...], list[_Result]] = collections.OrderedDict()


def _series_values(
    cloud: Cloud, region: Region, metric: t.Mapping[str, t.Any], window: Window, statistics: t.Sequence[Statistic]
) -> tuple[str, list[Array]] | None:
    found = metrics.find(
        cloud, region, metric["Namespace"], metric["MetricName"], _dimensions(metric.get("Dimensions", []))
    )
    if found is None or not window.periods:
        return None
    rows, piece = metrics.rows_of(cloud, found, window)
    return found.unit, [evaluate(statistic, rows, piece) for statistic in statistics]


_IDENTIFIER = re.compile(r"[a-z][a-zA-Z0-9_]*")


def _compute(cloud: Cloud, call: Call) -> list[_Result]:
    params = call.params
    queries = params["MetricDataQueries"]
    if len(queries) > MAXIMUM_QUERIES:
        raise AwsError("ValidationError", "The collection MetricDataQueries must not have a size greater than 500.")
    region = region_of(cloud, call)
    computed: dict[str, tuple[Array, Array]] = {}
    windows: dict[int, tuple[Window, Array]] = {}
    statistics: dict[str, Statistic] = {}
    for query in queries:
        identifier = query["Id"]
        if not _IDENTIFIER.fullmatch(identifier) or identifier in computed:
            raise AwsError("ValidationError", f"The value {identifier} for parameter Id is not valid or not unique.")
        if "MetricStat" in query:
            stat = query["MetricStat"]
            period = stat["Period"]
            if period not in windows:
                window = _window(cloud, params["StartTime"], params["EndTime"], period)
                windows[period] = window, np.array(window.timestamps())
            window, times = windows[period]
            name = stat["Stat"]
            if name not in statistics:
                statistics[name] = parse_statistic(name)
            found = _series_values(cloud, region, stat["Metric"], window, [statistics[name]])
            computed[identifier] = (times, found[1][0]) if found else (np.empty(0), np.empty(0))
        elif "Expression" in query:
            computed[identifier] = (np.empty(0), np.empty(0))
        else:
            raise AwsError("ValidationError", f"The query {identifier} needs either MetricStat or Expression.")
    for query in queries:
        if "Expression" in query:
            computed[query["Id"]] = _expression(query["Id"], query["Expression"], computed)
    newest_first = params.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    results = []
    for query in queries:
        if query.get("ReturnData", True):
            times, values = computed[query["Id"]]
            present = ~np.isnan(values)
            if not present.all():
                times, values = times[present], values[present]
            if newest_first:
                times, values = times[::-1], values[::-1]
            results.append(_Result(query["Id"], _label(query), times.tolist(), values.tolist()))
    return results


def _label(query: _Dict) -> str:
    if "Label" in query:
        return str(query["Label"])
    if "Expression" in query:
        return str(query["Id"])
    return str(query["MetricStat"]["Metric"]["MetricName"])


_OPERATORS: dict[type, t.Callable[[t.Any, t.Any], t.Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}
_REDUCTIONS: dict[str, t.Callable[..., t.Any]] = {
    "AVG": np.nanmean,
    "MAX": np.nanmax,
    "MIN": np.nanmin,
    "SUM": np.nansum,
}


def _expression(identifier: str, text: str, computed: t.Mapping[str, tuple[Array, Array]]) -> tuple[Array, Array]:
    """Metric math: numbers, ids, + - * /, AVG, MAX, MIN, SUM of one series or a list, ABS, FILL(m, n)."""

    def fail(why: str) -> t.NoReturn:
        raise AwsError("ValidationError", f"Error in expression '{identifier}': {why}")

    names = [n for n in dict.fromkeys(re.findall(r"[a-z][A-Za-z0-9_]*", text)) if n in computed and n != identifier]
    times = np.unique(np.concatenate([computed[name][0] for name in names] or [np.empty(0)]))

    def aligned(name: str) -> Array:
        own, values = computed[name]
        result = np.full(len(times), np.nan)
        result[np.searchsorted(times, own)] = values
        return result

    def value(node: ast.AST) -> t.Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            return float(node.value)
        if isinstance(node, ast.Name):
            if node.id not in names:
                fail(f"unknown id {node.id}")
            return aligned(node.id)
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            with np.errstate(divide="ignore", invalid="ignore"):
                return _OPERATORS[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.List):
            return [value(item) for item in node.elts]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            first = value(node.args[0])
            if node.func.id in _REDUCTIONS and len(node.args) == 1:
                if isinstance(first, list):
                    return _REDUCTIONS[node.func.id](np.array(first), axis=0)
                return np.where(np.isnan(first), np.nan, _REDUCTIONS[node.func.id](first))
            if node.func.id == "ABS" and len(node.args) == 1:
                return np.abs(first)
            if node.func.id == "FILL" and len(node.args) == 2:
                return np.where(np.isnan(first), value(node.args[1]), first)
        fail(f"the simulator does not know this: {ast.unparse(node)}")

    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        fail("it cannot be read")
    outcome = np.broadcast_to(np.asarray(value(tree.body), np.float64), times.shape)
    return times, np.where(np.isfinite(outcome), outcome, np.nan)


def _fingerprint(call: Call) -> tuple[str, str, str]:
    """What all pages of one request have in common."""
    asked = {key: item for key, item in call.params.items() if key != "NextToken"}
    return call.account, call.region, json.dumps(asked, sort_keys=True)


@operation("cloudwatch", "GetMetricData")
def get_metric_data(cloud: Cloud, call: Call) -> _Dict:
    """Up to 500 queries and 100,800 data points a page."""
    params = call.params
    limit = params.get("MaxDatapoints", MAXIMUM_DATAPOINTS)
    if not 1 <= limit <= MAXIMUM_DATAPOINTS:
        raise AwsError("ValidationError", f"MaxDatapoints must be between 1 and {MAXIMUM_DATAPOINTS}.")
    token = params.get("NextToken")
    results = _recent.get(_fingerprint(call)) if token else None
    if results is None:
        results = _compute(cloud, call)
    offset = 0
    if token:
        if not token.isdigit():
            raise AwsError("InvalidNextToken", "The token is not valid.")
        offset = int(token)
    total = sum(len(result.values) for result in results)
    shown = []
    at = 0
    for result in results:
        length = len(result.values)
        low, high = max(0, offset - at), min(length, offset + limit - at)
        if high > low or (length == 0 and offset <= at < offset + limit) or (length == 0 and at == total == offset):
            shown.append(
                {
                    "Id": result.identifier,
                    "Label": result.label,
                    "Timestamps": result.times[low:high],
                    "Values": result.values[low:high],
                    "StatusCode": "Complete" if high == length else "PartialData",
                }
            )
        at += length
    following = None
    if offset + limit < total:
        following = str(offset + limit)
        _recent[_fingerprint(call)] = results
        while len(_recent) > 4:
            _recent.popitem(last=False)
    return {"MetricDataResults": shown, "Messages": [], "NextToken": following}


@operation("cloudwatch", "GetMetricStatistics")
def get_metric_statistics(cloud: Cloud, call: Call) -> _Dict:
    """One metric, at most 1,440 data points."""
    params = call.params
    plain, extended = params.get("Statistics", []), params.get("ExtendedStatistics", [])
    if not plain and not extended:
        raise AwsError("MissingParameter", "Must specify either Statistics or ExtendedStatistics")
    window = _window(cloud, params["StartTime"], params["EndTime"], params["Period"])
    if window.periods > 1440:
        raise AwsError(
            "InvalidParameterCombination",
            f"You have requested up to {window.periods:,} datapoints, which exceeds the limit of 1,440. You may reduce "
            "the datapoints requested by increasing Period, or decreasing the time range.",
        )
    metric: _Dict = {key: params[key] for key in ("Namespace", "MetricName", "Dimensions") if key in params}
    statistics = [parse_statistic(name) for name in (*plain, *extended)]
    found = _series_values(cloud, region_of(cloud, call), metric, window, statistics)
    points = []
    if found:
        unit, columns = found
        for index, moment in enumerate(window.timestamps()):
            values = [float(column[index]) for column in columns]
            if not np.isnan(values[0]):
                point: _Dict = {"Timestamp": moment, "Unit": unit}
                point.update(zip(plain, values[: len(plain)], strict=True))
                if extended:
                    point["ExtendedStatistics"] = dict(zip(extended, values[len(plain) :], strict=True))
                points.append(point)
    return {"Label": params["MetricName"], "Datapoints": points}


@operation("cloudwatch", "ListMetrics")
def list_metrics(cloud: Cloud, call: Call) -> _Dict:
    """Pages of 500."""
    params = call.params
    wanted = {row["Name"]: row.get("Value") for row in params.get("Dimensions", [])}
    token = params.get("NextToken")
    if token and not token.isdigit():
        raise AwsError("InvalidParameterValue", "The token is not valid.")
    offset = int(token or 0)
    keys = metrics.listed_page(
        cloud, region_of(cloud, call), params.get("Namespace"), params.get("MetricName"), wanted, offset, 500
    )
    rows = [
        {
            "Namespace": namespace,
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": item} for key, item in dimensions],
        }
        for namespace, name, dimensions in keys[:500]
    ]
    return {"Metrics": rows, "NextToken": str(offset + 500) if len(keys) > 500 else None}


@operation("cloudwatch", "PutMetricData")
def put_metric_data(cloud: Cloud, call: Call) -> _Dict:
    """Custom metrics: plain values only."""
    region = region_of(cloud, call)
    for datum in call.params.get("MetricData", []):
        key = (call.params["Namespace"], datum["MetricName"], _dimensions(datum.get("Dimensions", [])))
        custom = region.custom_metrics.setdefault(key, CustomMetric())
        moment = datum.get("Timestamp", cloud.clock.now())
        values = datum.get("Values") or [datum.get("Value", 0.0)]
        counts = datum.get("Counts") or [1] * len(values)
        for value, count in zip(values, counts, strict=True):
            at = bisect.bisect_right(custom.times, moment)
            custom.times[at:at] = [moment] * int(count)
            custom.values[at:at] = [value] * int(count)
    return {}


# --- alarms ------------------------------------------------------------------------------


def _alarm(region: Region, alarm: Alarm) -> _Dict:
    return {
        "AlarmName": alarm.name,
        "AlarmArn": f"arn:aws:cloudwatch:{region.name}:{region.account}:alarm:{alarm.name}",
        "ActionsEnabled": True,
        "AlarmActions": [],
        "StateValue": alarm.state,
        "StateReason": f"{alarm.metric} against {alarm.threshold}",
        "StateUpdatedTimestamp": alarm.updated,
        "MetricName": alarm.metric,
        "Namespace": alarm.namespace,
        "Statistic": alarm.statistic,
        "Dimensions": [{"Name": key, "Value": value} for key, value in alarm.dimensions.items()],
        "Period": alarm.period,
        "EvaluationPeriods": 1,
        "Threshold": alarm.threshold,
        "ComparisonOperator": alarm.comparison,
    }


@operation("cloudwatch", "DescribeAlarms")
def describe_alarms(cloud: Cloud, call: Call) -> _Dict:
    """The estate's metric alarms, in pages of at most 100."""
    params = call.params
    region = region_of(cloud, call)
    chosen = [
        alarm
        for alarm in region.alarms.values()
        if (not params.get("AlarmNames") or alarm.name in params["AlarmNames"])
        and alarm.name.startswith(params.get("AlarmNamePrefix", ""))
        and params.get("StateValue", alarm.state) == alarm.state
    ]
    if params.get("AlarmTypes") and "MetricAlarm" not in params["AlarmTypes"]:
        chosen = []
    shown, token = page(chosen, params.get("MaxRecords", 50), params.get("NextToken"), "InvalidNextToken")
    return {"MetricAlarms": [_alarm(region, alarm) for alarm in shown], "CompositeAlarms": [], "NextToken": token}


@operation("cloudwatch", "DescribeAlarmsForMetric")
def describe_alarms_for_metric(cloud: Cloud, call: Call) -> _Dict:
    """The alarms on one metric."""
    params = call.params
    region = region_of(cloud, call)
    wanted = dict(_dimensions(params.get("Dimensions", [])))
    chosen = [
        alarm
        for alarm in region.alarms.values()
        if (alarm.namespace, alarm.metric) == (params["Namespace"], params["MetricName"]) and alarm.dimensions == wanted
    ]
    return {"MetricAlarms": [_alarm(region, alarm) for alarm in chosen]}
