# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost, usage and forecasts from AWS Cost Explorer, with as few paid requests as can be.

Each page costs 0.01 USD, so every page is booked before it is asked for, and answers are kept on disk with their
date. https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.aws import ApiCostExceeded, Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cache import Cache

_Dict: t.TypeAlias = "dict[str, t.Any]"

COST_METRICS = ("UnblendedCost", "BlendedCost", "AmortizedCost", "NetUnblendedCost", "NetAmortizedCost")
USAGE_METRICS = ("UsageQuantity", "NormalizedUsageAmount")
METRICS = (*COST_METRICS, *USAGE_METRICS)
#: What GetCostAndUsage takes as keys: the dimensions of botocore's model that its context COST_AND_USAGE documents.
DIMENSIONS = (
    *("AZ", "BILLING_ENTITY", "CACHE_ENGINE", "DATABASE_ENGINE", "DEPLOYMENT_OPTION", "INSTANCE_TYPE"),
    *("INSTANCE_TYPE_FAMILY", "INVOICING_ENTITY", "LEGAL_ENTITY_NAME", "LINKED_ACCOUNT", "OPERATING_SYSTEM"),
    *("OPERATION", "PAYMENT_OPTION", "PLATFORM", "PURCHASE_TYPE", "RECORD_TYPE", "REGION", "RESERVATION_ID"),
    *("SAVINGS_PLANS_TYPE", "SAVINGS_PLAN_ARN", "SERVICE", "TENANCY", "USAGE_TYPE", "USAGE_TYPE_GROUP"),
)
#: ``tag:team``, ``category:Team``: what stands before the name of a tag or cost category.
TAG, CATEGORY = "tag:", "category:"
#: Most keys that one request groups by.
MOST_KEYS = 2
_REACHED = (
    "EndpointConnectionError",
    "ConnectionBroken",
    "InternalFailure",
    "ServiceUnavailable",
    "InternalServerError",
)
#: Where Cost Explorer answers, by the beginning of the region's name.
_REGION, _REGION_CHINA = "us-east-1", "cn-northwest-1"


class CostQueryError(ValueError):
    """One sentence: which option, which value, what would be right."""


@dataclasses.dataclass(frozen=True)
class Key:
    """Something to group or filter by: a dimension, a tag's key or a cost category."""

    kind: t.Literal["DIMENSION", "TAG", "COST_CATEGORY"]
    name: str

    @property
    def text(self) -> str:
        """As options name it: ``SERVICE`` or ``tag:team``."""
        return {"DIMENSION": "", "TAG": TAG, "COST_CATEGORY": CATEGORY}[self.kind] + self.name


def key_of(text: str, option: str) -> Key:
    """The key that an option names. :raises CostQueryError: Cost Explorer has no such dimension."""
    for prefix, kind in ((TAG, "TAG"), (CATEGORY, "COST_CATEGORY")):
        if text.startswith(prefix) and len(text) > len(prefix):
            return Key(t.cast("t.Literal['TAG', 'COST_CATEGORY']", kind), text[len(prefix) :])
    if text.upper() in DIMENSIONS:
        return Key("DIMENSION", text.upper())
    raise CostQueryError(
        f"{option} has {text!r}, which is no dimension of Cost Explorer: use one of {', '.join(DIMENSIONS)}, "
        f"or {TAG}KEY, or {CATEGORY}NAME"
    )


@dataclasses.dataclass(frozen=True)
class Filter:
    """What is looked at: charges whose ``key`` has one of ``values``, or with ``exclude`` those that do not."""

    key: Key
    values: tuple[str, ...]
    exclude: bool = False

    def expression(self) -> _Dict:
        """As the API wants it."""
        kind = {"DIMENSION": "Dimensions", "TAG": "Tags", "COST_CATEGORY": "CostCategories"}[self.key.kind]
        inner: _Dict = {kind: {"Key": self.key.name, "Values": list(self.values)}}
        return {"Not": inner} if self.exclude else inner


def expression_of(filters: Sequence[Filter]) -> _Dict:
    """The ``Filter`` argument, empty without filters: all of them hold."""
    inner = [one.expression() for one in filters]
    if not inner:
        return {}
    return {"Filter": inner[0] if len(inner) == 1 else {"And": inner}}


@dataclasses.dataclass(frozen=True)
class Period:
    """Days from ``since`` on, before ``until``."""

    since: datetime.date
    until: datetime.date

    def argument(self, granularity: str = "") -> dict[str, str]:
        """As the API wants it: hours need times."""
        shape = "T00:00:00Z" if granularity == "HOURLY" else ""
        return {"Start": f"{self.since}{shape}", "End": f"{self.until}{shape}"}


@dataclasses.dataclass(frozen=True)
class Amount:
    """A sum in USD (or the payer's currency), or a quantity in ``unit``; ``N/A`` where units are mixed."""

    value: float
    unit: str


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost and usage of one period and group, by metric; ``estimated`` while AWS may still change it."""

    start: str
    end: str
    keys: tuple[str, ...]
    amounts: Mapping[str, Amount]
    estimated: bool


@dataclasses.dataclass(frozen=True)
class Expected:
    """A period to come: the mean, and the band that Cost Explorer believes in."""

    start: str
    end: str
    mean: float
    lower: float | None
    upper: float | None


@dataclasses.dataclass(frozen=True)
class CostForecast:
    """What a forecast says."""

    total: Amount
    periods: tuple[Expected, ...]


class CostExplorer:
    """One payer's (or account's) Cost Explorer.

    :param cache: where answers are kept; those of the last ``cache_days`` days are not paid for again.
    """

    def __init__(self, aws: Aws, cache: Cache, today: datetime.date, cache_days: int = 0) -> None:
        self.aws = aws
        self.warnings: list[str] = []
        #: names of accounts, where an answer told them
        self.names: dict[str, str] = {}
        #: days on which the answers were read
        self.read_on: set[datetime.date] = set()
        self.cached = 0
        self._cache = cache
        self._today = today
        self._cache_days = cache_days
        self._region = _REGION_CHINA if aws.region.startswith("cn-") else _REGION

    def costs(
        self,
        period: Period,
        granularity: str,
        metrics: Sequence[str],
        group_by: Sequence[Key] = (),
        filters: Sequence[Filter] = (),
    ) -> list[Cost]:
        """Cost and usage by period and group. Periods without cost have no group.

        :raises CostQueryError: more than two keys.
        :raises AwsError: Cost Explorer refuses, or has no data.
        """
        if len(group_by) > MOST_KEYS:
            raise CostQueryError(f"group_by has {len(group_by)} keys: Cost Explorer groups by two at most")
        arguments: _Dict = {
            "TimePeriod": period.argument(granularity),
            "Granularity": granularity,
            "Metrics": list(metrics),
            **expression_of(filters),
        }
        if group_by:
            arguments["GroupBy"] = [{"Type": key.kind, "Key": key.name} for key in group_by]
        found: list[Cost] = []
        for page in self._pages("get_cost_and_usage", arguments, period):
            for value in page.get("DimensionValueAttributes", ()):
                self.names[value["Value"]] = value.get("Attributes", {}).get("description", "")
            for result in page["ResultsByTime"]:
                groups = result["Groups"] if group_by else [{"Keys": [], "Metrics": result["Total"]}]
                found += [_cost(result, group, group_by) for group in groups]
        return found

    def forecast(
        self, period: Period, granularity: str, metric: str, level: int, filters: Sequence[Filter] = ()
    ) -> CostForecast:
        """What Cost Explorer expects, with a band that holds ``level`` percent.

        :raises AwsError: Cost Explorer refuses, or knows too little to foresee anything.
        """
        usage = metric in USAGE_METRICS
        arguments = {
            "TimePeriod": period.argument(),
            "Metric": _upper(metric),
            "Granularity": granularity,
            "PredictionIntervalLevel": level,
            **expression_of(filters),
        }
        [answer] = self._pages("get_usage_forecast" if usage else "get_cost_forecast", arguments, period, paged=False)
        return CostForecast(
            Amount(float(answer["Total"]["Amount"]), answer["Total"]["Unit"]),
            tuple(
                Expected(
                    one["TimePeriod"]["Start"],
                    one["TimePeriod"]["End"],
                    float(one["MeanValue"]),
                    _number(one.get("PredictionIntervalLowerBound")),
                    _number(one.get("PredictionIntervalUpperBound")),
                )
                for one in answer["ForecastResultsByTime"]
            ),
        )

    def values(self, period: Period, key: Key, filters: Sequence[Filter] = ()) -> list[str]:
        """Values of a dimension or tag in a period, in the order that Cost Explorer gives.

        :raises AwsError: Cost Explorer refuses, or has no data.
        """
        arguments: _Dict = {"TimePeriod": period.argument(), **expression_of(filters)}
        if key.kind == "TAG":
            arguments["TagKey"] = key.name
            return [value for page in self._pages("get_tags", arguments, period) for value in page["Tags"]]
        if key.kind == "COST_CATEGORY":
            arguments["CostCategoryName"] = key.name
            pages = self._pages("get_cost_categories", arguments, period)
            return [value for page in pages for value in page["CostCategoryValues"]]
        arguments |= {"Dimension": key.name, "Context": "COST_AND_USAGE"}
        found = []
        for page in self._pages("get_dimension_values", arguments, period):
            for value in page["DimensionValues"]:
                found.append(value["Value"])
                if value.get("Attributes", {}).get("description"):
                    self.names[value["Value"]] = value["Attributes"]["description"]
        return found

    def tag_keys(self, period: Period) -> list[str]:
        """Keys of the cost allocation tags that charges of the period have. :raises AwsError: as above."""
        pages = self._pages("get_tags", {"TimePeriod": period.argument()}, period)
        return [key for page in pages for key in page["Tags"]]

    def _pages(self, method: str, arguments: _Dict, period: Period, paged: bool = True) -> list[_Dict]:
        key = [self.aws.account, self._region, method, arguments]
        kept = self._cache.load("cost_explorer", key)
        if kept is not None and 0 <= (self._today - kept[0]).days <= self._cache_days:
            self.cached += 1
            self.read_on.add(kept[0])
            return t.cast("list[_Dict]", kept[1])
        try:
            pages = self._ask(method, dict(arguments), paged)
        except AwsError as error:
            if kept is not None and _unreachable(error):
                self.warnings.append(f"{error}; the answer is of {kept[0]}, from disk")
                self.read_on.add(kept[0])
                return t.cast("list[_Dict]", kept[1])
            raise _explained(error, period) from error
        self._cache.store("cost_explorer", key, self._today, pages)
        self.read_on.add(self._today)
        return pages

    def _ask(self, method: str, arguments: _Dict, paged: bool) -> list[_Dict]:
        pages: list[_Dict] = []
        while True:
            try:
                self.aws.cost.charge("Cost Explorer request", 1)
            except ApiCostExceeded:
                raise ApiCostExceeded(
                    f"one more request to Cost Explorer would cost more than max_api_cost allows "
                    f"({self.aws.cost.limit:g} USD; {self.aws.cost.spent:g} USD are spent): raise it, or ask for a "
                    "shorter time, larger steps or fewer groups"
                ) from None
            answer = self.aws.read("ce", method, region=self._region, **arguments)
            pages.append({name: value for name, value in answer.items() if name != "ResponseMetadata"})
            token = answer.get("NextPageToken")
            if not (paged and token):
                return pages
            arguments["NextPageToken"] = token


def _cost(result: _Dict, group: _Dict, group_by: Sequence[Key]) -> Cost:
    # Values of tags and cost categories come as key$value.
    keys = [
        value if key.kind == "DIMENSION" else value.removeprefix(f"{key.name}$")
        for key, value in zip(group_by, group["Keys"])
    ]
    amounts = {name: Amount(float(one["Amount"]), one.get("Unit", "")) for name, one in group["Metrics"].items()}
    period = result["TimePeriod"]
    return Cost(period["Start"], period["End"], tuple(keys), amounts, bool(result.get("Estimated")))


def _unreachable(error: AwsError) -> bool:
    return error.code in _REACHED or error.effect_unknown


def _explained(error: AwsError, period: Period) -> AwsError:
    """The error with what Cost Explorer's own words leave out."""
    span = f"{period.since} to {period.until}"
    if error.code == "DataUnavailableException":
        return AwsError(
            f"Cost Explorer has no data for {span} ({error}): a day's cost comes up to 24 hours later, and the first "
            "a day after Cost Explorer was switched on; forecasts need some weeks of cost",
            error.code,
        )
    if error.code == "BillExpirationException":
        return AwsError(f"Cost Explorer no longer has the bills of {span}: ask for later months", error.code)
    if error.code == "UnresolvableUsageUnitException":
        return AwsError("usage in several units cannot be foreseen: filter by one USAGE_TYPE", error.code)
    if _unreachable(error):
        return AwsError(
            f"{error}; Cost Explorer answers from one region alone: try again later, or give cache_directory, so that "
            "the last answer serves meanwhile",
            error.code,
        )
    return error


def _upper(metric: str) -> str:
    """``UNBLENDED_COST`` of ``UnblendedCost``."""
    return "".join(f"_{letter}" if letter.isupper() else letter for letter in metric).lstrip("_").upper()


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
