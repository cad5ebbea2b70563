# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of SLOs and their generated unit tests, held against the real promtool."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import subprocess
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import slo_rules, slo_tests
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import Slo, parse
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_yaml import to_yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")

EVENTS: dict[str, t.Any] = {
    "availability": {
        "bad": 'http_requests_total{code=~"5..",service="shop"}',
        "total": 'http_requests_total{service="shop"}',
    }
}
LISTS: dict[str, t.Any] = {
    "availability": {"good": ['a_total{code="200"}', "b_total"], "total": ["a_total", "c_total"]}
}
HISTOGRAM: dict[str, t.Any] = {"latency": {"histogram": "d_seconds", "selector": 'service="shop"', "threshold": 0.5}}
GAUGE: dict[str, t.Any] = {"saturation": {"time_slice": {"gauge": 'cpu:ratio{job="node"}', "above": 0.8}}}
COUNTER: dict[str, t.Any] = {
    "throughput": {"time_slice": {"counter": ["a_total", 'b_total{x="y"}'], "below": 10, "missing": "bad"}}
}
QUERY: dict[str, t.Any] = {"latency": {"time_slice": {"query": "histogram_quantile(0.9, x:p)", "above": 0.5}}}


def slo_with(sli: dict[str, t.Any], **options: t.Any) -> Slo:
    return parse({"name": "tried", "service": "shop", "objective": 99.9, "sli": sli, **options})


def rules_text(groups: t.Sequence[slo_rules.Group]) -> str:
    return to_yaml({"groups": [group.to_dict() for group in groups]})


def promtool(folder: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL
    return subprocess.run([PROMTOOL, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def generated_tests(
    folder: pathlib.Path,
    slo: Slo,
    groups: t.Sequence[slo_rules.Group] | None = None,
    only: t.Callable[[str], bool] = lambda name: True,
) -> subprocess.CompletedProcess[str]:
    """promtool's answer to the generated tests; ``groups`` may be other rules than those that belong to them."""
    own = slo_rules.groups(slo)
    (folder / "rules.yml").write_text(rules_text(groups or own))
    content = slo_tests.unit_tests(slo, own, "rules.yml")
    content["tests"] = [test for test in content["tests"] if only(test["name"])]
    assert content["tests"]
    (folder / "test.yml").write_text(to_yaml(content))
    return promtool(folder, "test", "rules", "test.yml")


def test_recorded_series_are_those_that_others_read() -> None:
    records = [rule.record for group in slo_rules.groups(slo_with(EVENTS)) for rule in group.rules if rule.record]
    assert len(records) == len(set(records))
    assert {
        *(f"slo:sli_error:ratio_rate{window}" for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")),
        "slo:objective:ratio",
        "slo:error_budget:ratio",
        "slo:time_period:days",
        "slo:current_burn_rate:ratio",
        "slo:period_burn_rate:ratio",
        "slo:period_error_budget_remaining:ratio",
        "slo:events:rate5m",
    } <= set(records)
    slices = [rule.record for group in slo_rules.groups(slo_with(GAUGE)) for rule in group.rules]
    assert "slo:events:rate5m" not in slices and "slo:slice_error:bool" in slices


def test_rules_read_only_what_an_earlier_rule_of_the_evaluation_wrote() -> None:
    """A rule that reads a later one of its group would see the evaluation before: a delay."""
    for sli in (EVENTS, LISTS, GAUGE):
        for group in slo_rules.groups(slo_with(sli)):
            names = [rule.record for rule in group.rules]
            for index, rule in enumerate(group.rules):
                later = [name for name in names[index:] if name and f"{name}{{" in rule.expr]
                assert not later, (rule.record or rule.alert, later)


def test_page_waits_for_nothing() -> None:
    fast, slow = slo_rules.groups(slo_with(EVENTS, evaluation_interval="5s"))
    assert (fast.interval, slow.interval) == (5, 60)
    page = fast.rules[-1].to_dict()
    assert page["alert"] == "SLOErrorBudgetBurnPage" and "for" not in page
    assert page["labels"] == {"severity": "page"}
    assert page["annotations"]["runbook_url"].endswith("/docs/runbooks/SLOErrorBudgetBurnPage.md")
    assert slow.rules[-1].alert == "SLOErrorBudgetBurnTicket"


def test_long_windows_are_added_up_from_recorded_series() -> None:
    for group in slo_rules.groups(slo_with(EVENTS)):
        for rule in group.rules:
            if any(f"[{window}]" in rule.expr for window in ("2h", "1d", "3d", "30d")):
                assert "http_requests_total" not in rule.expr


def test_guards_can_be_switched_off_and_alerts_left_out() -> None:
    rules = [
        rule
        for group in slo_rules.groups(
            slo_with(EVENTS, alerting={"confidence": 0, "ticket": False, "minimum_events": 7})
        )
        for rule in group.rules
    ]
    assert not any("lower" in (rule.record + rule.expr) for rule in rules)
    assert [rule.alert for rule in rules if rule.alert] == ["SLOErrorBudgetBurnPage"]
    assert "* 3600) >= 7" in next(rule.expr for rule in rules if rule.alert)


# With promtool


@needs_promtool
@pytest.mark.parametrize(
    "slo",
    [
        slo_with(EVENTS),
        slo_with(LISTS, objective=99.99, window="28d", alerting={"minimum_events": 500_000}),
        slo_with(HISTOGRAM, objective=50, window="90d", labels={"team": 'a "b" \\c'}),
        slo_with(GAUGE, objective=95, window="7d"),
        slo_with(COUNTER, objective=90, window="14d"),
        slo_with(QUERY, objective=99),
        slo_with(EVENTS, alerting={"confidence": 0.9, "page": False}),
        slo_with(
            EVENTS,
            objective=1,
            evaluation_interval="20s",
            annotations={"summary": "{{ $labels.slo }}: {{ $value | humanizePercentage }}"},
            alerting={"ticket": {"labels": {"queue": "web"}}, "runbook_base_url": "https://runbooks.example/x/"},
        ),
    ],
    ids=lambda slo: f"{slo.kind}-{slo.percent}-{slo.period_days:g}d".replace(" ", ""),
)
def test_promtool_agrees(tmp_path: pathlib.Path, slo: Slo) -> None:
    found = generated_tests(tmp_path, slo)
    assert found.returncode == 0, found.stdout + found.stderr
    checked = promtool(tmp_path, "check", "rules", "rules.yml")
    assert checked.returncode == 0 and "SUCCESS" in checked.stdout
    assert len(slo_tests.cases(slo)) >= 2


@needs_promtool
@pytest.mark.parametrize("sli", [EVENTS, GAUGE], ids=["events", "slices"])
def test_generated_tests_fail_for_every_rule_that_is_wrong(tmp_path: pathlib.Path, sli: dict[str, t.Any]) -> None:
    """Each rule is falsified in turn; tests that still pass would prove nothing about it."""
    slo = slo_with(sli, evaluation_interval="60s")
    groups = slo_rules.groups(slo)
    unnoticed = []
    for group_index, group in enumerate(groups):
        for index, rule in enumerate(group.rules):
            wrong = f"({rule.expr}) * 1.02 + 0.001" if rule.record else f"({rule.expr}) > 7"
            if rule.record == "slo:slice_error:bool":
                wrong = f"1 - ({rule.expr})"
            rules = (*group.rules[:index], dataclasses.replace(rule, expr=wrong), *group.rules[index + 1 :])
            changed = list(groups)
            changed[group_index] = dataclasses.replace(group, rules=rules)
            # Recorded values are in the two short cases.
            short = ("healthy", "bad from the start") if rule.record else ("",)
            answer = generated_tests(tmp_path, slo, changed, lambda name, short=short: name.endswith(short))
            if answer.returncode == 0:
                unnoticed.append(rule.record or rule.alert)
    assert not unnoticed


@needs_promtool
def test_generated_tests_fail_without_the_guard_and_for_a_selector_that_selects_nothing(tmp_path: pathlib.Path) -> None:
    slo = slo_with(EVENTS, evaluation_interval="60s")
    unguarded = slo_rules.groups(slo_with(EVENTS, evaluation_interval="60s", alerting={"confidence": 0}))
    found = generated_tests(tmp_path, slo, unguarded)
    assert found.returncode != 0 and "SLOErrorBudgetBurnPage" in found.stdout + found.stderr
    typo = {"availability": {**EVENTS["availability"], "bad": 'http_request_total{code=~"5.."}'}}
    assert generated_tests(tmp_path, slo, slo_rules.groups(slo_with(typo, evaluation_interval="60s"))).returncode != 0


@needs_promtool
def test_page_fires_as_soon_as_the_arithmetic_allows(tmp_path: pathlib.Path) -> None:
    """A healthy hour, then every event is bad: 14.4 × 0.001 of an hour is 51.84 s, so it fires at 52 s.

    The windows of the other condition are left out: with only an hour of history, 6 h would be no 6 h.
    """
    slo = slo_with(EVENTS, evaluation_interval="4s")
    fast = slo_rules.groups(slo)[0]
    kept = tuple(rule for rule in fast.rules if not rule.record.endswith(("30m", "6h")))
    (tmp_path / "rules.yml").write_text(rules_text([dataclasses.replace(fast, rules=kept)]))
    begin, step = 3600, 4
    before = begin // step
    alerts = 'count(ALERTS{alertname="SLOErrorBudgetBurnPage",alertstate="firing"}) or vector(0)'
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "4s",
        "tests": [
            {
                "interval": "4s",
                "input_series": [
                    {
                        "series": 'http_requests_total{service="shop",code="200"}',
                        "values": f"0+40x{before} {before * 40}+0x30",
                    },
                    {"series": 'http_requests_total{service="shop",code="500"}', "values": f"0+0x{before} 40+40x30"},
                ],
                "promql_expr_test": [
                    {
                        "expr": alerts,
                        "eval_time": f"{begin + after}s",
                        "exp_samples": [{"labels": "{}", "value": value}],
                    }
                    for after, value in ((0, 0), (48, 0), (52, 1), (60, 1))
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(to_yaml(test))
    found = promtool(tmp_path, "test", "rules", "test.yml")
    assert found.returncode == 0, found.stdout + found.stderr


# Any declaration

selectors = st.sampled_from(
    ["a_total", 'a_total{code=~"5..",job="x"}', 'b_total{code!~"2..|3.."}', 'c:total{path="/a\\"b"}', "d_total{}"]
)
slis = st.one_of(
    st.tuples(st.sampled_from(["bad", "good"]), selectors, selectors)
    .filter(lambda drawn: drawn[1] != drawn[2])
    .map(lambda drawn: {"availability": {drawn[0]: drawn[1], "total": drawn[2]}}),
    st.sampled_from([EVENTS, LISTS, HISTOGRAM, GAUGE, COUNTER, QUERY]),
    st.tuples(st.sampled_from(["above", "below"]), st.floats(-5, 5).map(lambda value: round(value, 3))).map(
        lambda drawn: {"saturation": {"time_slice": {"gauge": "g{a='b'}", drawn[0]: drawn[1]}}}
    ),
)
declarations = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
        "service": st.sampled_from(["shop", "9-a.b"]),
        "objective": st.decimals("0.5", "99.999", places=3).map(str),
        "window": st.sampled_from(["7d", "2w", "21d", "28d", "30d", "90d"]),
        "sli": slis,
        "evaluation_interval": st.sampled_from(["60s", "30s"]),
        "labels": st.dictionaries(st.sampled_from(["team", "env"]), st.sampled_from(["x", 'q"u', "ä\\"]), max_size=2),
        "alerting": st.fixed_dictionaries(
            {},
            optional={
                "page": st.booleans(),
                "ticket": st.booleans(),
                "confidence": st.sampled_from([0, 0.95, 0.999]),
                "minimum_events": st.integers(0, 10**6),
            },
        ),
    }
)


#: its page fires with the first bad slice
AT_ONCE: dict[str, t.Any] = {
    "name": "0",
    "service": "shop",
    "objective": "99.532",
    "window": "7d",
    "sli": {"saturation": {"time_slice": {"gauge": "g{a='b'}", "above": 0.0}}},
    "evaluation_interval": "60s",
    "labels": {},
    "alerting": {"confidence": 0},
}


@needs_promtool
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(declarations)
@example(AT_ONCE)
def test_any_declaration_gives_rules_and_tests_that_promtool_accepts(
    tmp_path: pathlib.Path, declaration: dict[str, t.Any]
) -> None:
    slo = parse(declaration)
    checked = slo_rules.groups(slo)
    assert rules_text(checked) == rules_text(slo_rules.groups(parse(declaration)))
    (tmp_path / "rules.yml").write_text(rules_text(checked))
    found = promtool(tmp_path, "check", "rules", "rules.yml")
    assert found.returncode == 0, found.stdout + found.stderr
    if slo_tests.cases(slo):
        answer = generated_tests(tmp_path, slo)
        assert answer.returncode == 0, answer.stdout + answer.stderr
    else:
        assert slo_tests.notes(slo)
