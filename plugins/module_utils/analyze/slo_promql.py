# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Selectors of Prometheus' counters and gauges: checked, matched, and an example of what they select.

Only what rules of SLOs need: a metric's name and its matchers. The text itself goes into the rules unchanged, so
that what an operator wrote is what Prometheus reads. Examples of values for regular expressions make the series of
the generated unit tests; they are checked against the expression, and where none is found there is none.

Standard library only: module C(slo) runs on managed hosts.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import typing as t

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_MATCHER = re.compile(
    r"""\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*(,|$)"""
)
#: Values tried for a label that must not match: what nobody gives a meaning to comes last.
_OTHERS = ("200", "other", "0", "up", "a", "")


class SelectorError(ValueError):
    """Text that is no selector of one metric's series."""


@dataclasses.dataclass(frozen=True)
class Matcher:
    """One condition on a label; ``operator`` is one of ``=``, ``!=``, ``=~``, ``!~``."""

    label: str
    operator: str
    value: str

    def matches(self, value: str) -> bool:
        """Whether a label of this value passes; a label that is absent has the value ''."""
        if self.operator in ("=", "!="):
            return (value == self.value) == (self.operator == "=")
        return (re.fullmatch(self.value, value) is not None) == (self.operator == "=~")


@dataclasses.dataclass(frozen=True)
class Selector:
    """A metric and its matchers, with the text that they were read from."""

    text: str
    metric: str
    matchers: tuple[Matcher, ...] = ()

    def matches(self, series: Series) -> bool:
        """Whether ``series`` is one of those selected."""
        labels = dict(series.labels)
        return series.metric == self.metric and all(
            matcher.matches(labels.get(matcher.label, "")) for matcher in self.matchers
        )

    def ranged(self, window: str) -> str:
        """The same series over ``window``, such as ``5m``."""
        return f"{self.text}[{window}]"


@dataclasses.dataclass(frozen=True)
class Series:
    """One series: a metric's name and labels, in order."""

    metric: str
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """As Prometheus writes it."""
        inner = ",".join(f"{name}={quoted(value)}" for name, value in self.labels)
        return self.metric + ("{" + inner + "}" if inner else "")


def quoted(text: str) -> str:
    """A string in PromQL's double quotes."""
    return json.dumps(text, ensure_ascii=False)


def parse_selector(text: str) -> Selector:
    """Read ``metric`` or ``metric{label="value",…}``.

    :raises SelectorError: when the text is something else; says what is wrong.
    """
    stripped = text.strip()
    name = _METRIC.match(stripped)
    if name is None:
        raise SelectorError("it has to begin with a metric's name")
    rest = stripped[name.end() :].strip()
    if not rest:
        return Selector(stripped, name.group())
    if not (rest.startswith("{") and rest.endswith("}")):
        raise SelectorError(f"after the metric's name comes {rest!r} where only matchers in braces can stand")
    return Selector(stripped, name.group(), tuple(_matchers(rest[1:-1].strip())))


def _matchers(text: str) -> t.Iterator[Matcher]:
    """The conditions between the braces."""
    position = 0
    while position < len(text):
        found = _MATCHER.match(text, position)
        if found is None:
            raise SelectorError(f'{text[position:].strip()!r} is no matcher such as code=~"5.."')
        matcher = Matcher(found.group(1), found.group(2), _unquoted(found.group(3)))
        if matcher.operator in ("=~", "!~"):
            try:
                re.compile(matcher.value)
            except re.error as error:
                raise SelectorError(f"{matcher.value!r} is no regular expression ({error})") from None
        yield matcher
        position = found.end()


def _unquoted(text: str) -> str:
    """What a quoted string stands for."""
    if text[0] == "`":
        return text[1:-1]
    try:
        return str(ast.literal_eval(text))
    except (SyntaxError, ValueError):
        raise SelectorError(f"{text} is no string") from None


def example(selector: Selector, without: Selector | None = None) -> Series | None:
    """A series that ``selector`` selects and ``without`` does not, or None where none is found."""
    labels: dict[str, str] = {}
    for name in dict.fromkeys(matcher.label for matcher in selector.matchers):
        own = [matcher for matcher in selector.matchers if matcher.label == name]
        found = _value(own, [])
        if found is None:
            return None
        labels[name] = found
    series = _series(selector.metric, labels)
    if without is None or not without.matches(series):
        return series
    # One label is changed so that it passes here and fails there.
    for matcher in without.matchers:
        own = [item for item in selector.matchers if item.label == matcher.label]
        found = _value(own, [matcher])
        if found is not None:
            return _series(selector.metric, {**labels, matcher.label: found})
    return None


def both(selector: Selector, other: Selector) -> Series | None:
    """A series that both select, or None where none is found."""
    if selector.metric != other.metric:
        return None
    return example(Selector("", selector.metric, selector.matchers + other.matchers))


def _series(metric: str, labels: dict[str, str]) -> Series:
    """Labels in order; one of value '' is one that is absent."""
    return Series(metric, tuple(sorted((name, value) for name, value in labels.items() if value)))


def _value(passing: list[Matcher], failing: list[Matcher]) -> str | None:
    """A value that passes all of one list and none of the other."""
    candidates = [matcher.value for matcher in (*passing, *failing) if matcher.operator in ("=", "!=")]
    candidates += [matched(matcher.value) for matcher in (*passing, *failing) if matcher.operator in ("=~", "!~")]
    for value in (*candidates, *_OTHERS):
        if all(item.matches(value) for item in passing) and not any(item.matches(value) for item in failing):
            return value
    return None


def matched(expression: str) -> str:
    """A text that the regular expression may match: the caller checks it.

    The first of alternatives, one of a class, and as few repetitions as are allowed (one for ``+``).
    """
    return _Reader(expression).alternatives()


class _Reader:
    """Walks through a regular expression and writes what it matches."""

    _CLASSES: t.ClassVar[dict[str, str]] = {"d": "1", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def _next(self) -> str:
        self.at += 1
        return self.text[self.at - 1 : self.at]

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def alternatives(self) -> str:
        """The first alternative; the others are read over."""
        first = self._sequence()
        while self._peek() == "|":
            self._next()
            self._sequence()
        return first

    def _sequence(self) -> str:
        written = ""
        while self._peek() and self._peek() not in "|)":
            item = self._item()
            written += item * self._repetitions()
        return written

    def _item(self) -> str:
        character = self._next()
        if character == "\\":
            escaped = self._next()
            return self._CLASSES.get(escaped, escaped)
        if character == "[":
            return self._one_of()
        if character == "(":
            if self.text.startswith("?:", self.at):
                self.at += 2
            inner = self.alternatives()
            self._next()
            return inner
        return "0" if character == "." else "" if character in "^$" else character

    def _one_of(self) -> str:
        end = self.text.find("]", self.at + 1)
        inside = self.text[self.at : end]
        self.at = end + 1 if end >= 0 else len(self.text)
        if inside.startswith("^"):
            return next((other for other in "a0-" if other not in inside), "~")
        return self._CLASSES.get(inside[1:2], inside[1:2]) if inside.startswith("\\") else inside[:1]

    def _repetitions(self) -> int:
        following = self._peek()
        if following in ("*", "?") and following:
            self._next()
            count = 0
        elif following == "+":
            self._next()
            count = 1
        elif following == "{" and (found := re.compile(r"\{(\d+)(,\d*)?\}").match(self.text, self.at)):
            self.at = found.end()
            count = int(found.group(1))
        else:
            return 1
        if self._peek() in ("?", "+"):
            self._next()
        return count
