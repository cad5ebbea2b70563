# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Service level objectives: what is left of the error budgets, how fast they burn, which alerts fire.

Reads the series that module frugal.cloud.slo's rules record.
"""

from __future__ import annotations

from ansible_collections.frugal.cloud.tests.tools.dashboards.building import (
    Dashboard,
    Panel,
    Query,
    Row,
    Variable,
    graph,
)

_OF = 'slo=~"$slo",service=~"$service"'
_LEFT = f"slo:period_error_budget_remaining:ratio{{{_OF}}}"
_PAGE = "SLOErrorBudgetBurnPage"
_TICKET = "SLOErrorBudgetBurnTicket"


def _burn(window: str) -> str:
    """How many times faster than allowed the budget burns: the error ratio of a window over the budget's ratio."""
    return (
        f"slo:sli_error:ratio_rate{window}{{{_OF}}} / on (slo, service) group_left () slo:error_budget:ratio{{{_OF}}}"
    )


DASHBOARD = Dashboard(
    uid="frugal-slo",
    title="SLOs: error budgets and burn rates",
    description="What is left of each objective's error budget, how fast it burns, and when it will be used up.",
    tags=["slo"],
    time_from="now-24h",
    variables=[
        Variable("service", "Service", "Services with an objective.", series="slo:objective:ratio", of_label="service"),
        Variable("slo", "Objective", "Service level objectives.", series="slo:objective:ratio", of_label="slo"),
    ],
    rows=[
        Row(
            "Now",
            [
                Panel(
                    "Objectives",
                    "Each objective, what is left of its budget in its whole period, and how fast the budget burns: "
                    "at 1 it lasts exactly as long as the period.",
                    [
                        Query(f"max by (slo, service) (slo:objective:ratio{{{_OF}}})", "Objective"),
                        Query(f"min by (slo, service) ({_LEFT})", "Budget left"),
                        Query(f"max by (slo, service) (slo:current_burn_rate:ratio{{{_OF}}})", "Burn rate, 5 m"),
                        Query(f"max by (slo, service) ({_burn('1h')})", "Burn rate, 1 h"),
                        Query(f"max by (slo, service) (slo:period_burn_rate:ratio{{{_OF}}})", "Burn rate, period"),
                    ],
                    kind="table",
                    unit="none",
                    units={"Objective": "percentunit", "Budget left": "percentunit"},
                    width=16,
                ),
                Panel(
                    "Budget left",
                    "What is left of each error budget. Below zero: the objective is missed for this period.",
                    [Query(f"min by (slo) ({_LEFT})", "{{slo}}")],
                    kind="bars",
                    unit="percentunit",
                    steps=[0.5, 0.25, 0.0],
                    minimum=-1,
                    maximum=1,
                    runbook=_TICKET,
                ),
            ],
        ),
        Row(
            "Error budget",
            [
                Panel(
                    "Budget left, over time",
                    "A step down is an incident; a slope is a defect that everybody got used to.",
                    [Query(_LEFT, "{{slo}}")],
                    unit="percentunit",
                    steps=[0.25, 0.0],
                    width=12,
                    maximum=1,
                    runbook=_TICKET,
                ),
                graph(
                    "Time until the budget is used up",
                    "If errors go on as in the last hour. Nothing is drawn while none happen.",
                    [
                        Query(
                            f"clamp_min({_LEFT}, 0) * on (slo, service) group_left () slo:time_period:days{{{_OF}}} * "
                            f"86400 / on (slo, service) group_left () (({_burn('1h')}) > 0)",
                            "{{slo}}",
                        )
                    ],
                    unit="s",
                    steps=[259200, 86400],
                    width=12,
                    runbook=_TICKET,
                ),
            ],
        ),
        Row(
            "Burn rates",
            [
                graph(
                    f"Burn rate, {name}",
                    description,
                    [Query(_burn(short), f"{{{{slo}}}} {short}"), Query(_burn(long), f"{{{{slo}}}} {long}")],
                    unit="none",
                    steps=[step],
                    log_scale=False,
                    runbook=runbook,
                )
                for name, description, short, long, step, runbook in (
                    (
                        "fast",
                        "Both lines above 14.4 page: in an hour, 2 % of a 30-day budget would be gone.",
                        "5m",
                        "1h",
                        14.4,
                        _PAGE,
                    ),
                    (
                        "medium",
                        "Both lines above 6 page: in six hours, 5 % of a 30-day budget would be gone.",
                        "30m",
                        "6h",
                        6.0,
                        _PAGE,
                    ),
                    (
                        "slow",
                        "Both lines above 1 open a ticket: in three days, 10 % of a 30-day budget would be gone.",
                        "6h",
                        "3d",
                        1.0,
                        _TICKET,
                    ),
                )
            ],
        ),
        Row(
            "Indicators and alerts",
            [
                graph(
                    "Share of bad events",
                    "Of all events in 5 minutes and in an hour.",
                    [
                        Query(f"slo:sli_error:ratio_rate5m{{{_OF}}}", "{{slo}} 5m"),
                        Query(f"slo:sli_error:ratio_rate1h{{{_OF}}}", "{{slo}} 1h"),
                    ],
                    unit="percentunit",
                ),
                graph(
                    "Events",
                    "Events per second that the objective counts. With few events, one bad one weighs a lot.",
                    [Query(f"slo:events:rate5m{{{_OF}}}", "{{slo}}")],
                    unit="cps",
                ),
                graph(
                    "Alerts that fire",
                    "Burn-rate alerts by objective and severity, over time.",
                    [
                        Query(
                            "sum by (slo, severity) (ALERTS"
                            f'{{alertname=~"SLOErrorBudgetBurn.*",alertstate="firing",{_OF}}})',
                            "{{slo}} {{severity}}",
                        )
                    ],
                    unit="none",
                    steps=[1],
                    runbook=_PAGE,
                ),
            ],
        ),
    ],
)
