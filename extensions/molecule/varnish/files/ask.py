# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the shop through Varnish on this host: ``ask.py TOKEN`` checks all, ``ask.py id`` prints a page's number."""

import http.client
import sys

HOST = "shop.example.com"


def ask(path, method="GET", **headers):
    """Status, headers and body of one answer; _ in names of headers stands for -."""
    connection = http.client.HTTPConnection("127.0.0.1", 6081, timeout=10)
    sent = {"Host": HOST, "X-Cache-Debug": "1", **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, headers=sent)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, body


def number(path, **headers):
    """The number of a page, which is new with every answer of the backend."""
    status, _headers, body = ask(path, **headers)
    assert status == 200, (path, headers, status, body)
    return body.split()[0]


def check(token):
    """Every rule of the scenario's declaration, asked from outside."""
    page = number("/page?b=2&a=1")
    assert number("/page?a=1&utm_source=x&b=2&gclid=1") == page, "parameters"
    assert number("/page?a=1&b=2", Cookie="_ga=1") == page, "analytics"
    assert ask("/page?a=1&b=2")[1]["X-Cache"] == "HIT"
    assert ask("/page?a=1&b=2")[1]["Cache-Tag"] is None, "tags stay inside"
    assert number("/page?a=2&b=2") != page, "another page"

    for headers in ({"Cookie": "sessionid=1"}, {"Authorization": "Basic eA=="}, {"Cookie": "unknown=1"}):
        first, second = (number("/page?a=1&b=2", **headers) for _attempt in range(2))
        assert len({first, second, page}) == 3, headers
    assert number("/page?a=1&b=2") == page, "private answers stay out"

    status, headers, body = ask("/account", Cookie="sessionid=1")
    assert (status, headers["X-Cache"]) == (200, "PASS")
    assert "sessionid=1" in body
    assert "sessionid" not in ask("/account")[2], "an account page of somebody else"
    assert "sessionid" not in ask("/%61ccount")[2]
    assert number("/login") != number("/login"), "an answer with Set-Cookie"
    asset = number("/static/a.css", Cookie="sessionid=1")
    assert number("/static/a.css", Cookie="sessionid=2") == asset, "assets are the same for everybody"
    assert "evil" not in ask("/poisoned", X_Forwarded_Host="evil.example.com")[2]

    assert ask("/page?a=1&b=2", "PURGE")[0] == 403
    assert ask("/page?a=1&b=2", "PURGE", X_Purge_Token="wrong-token-0123456789")[0] == 403
    assert number("/page?a=1&b=2") == page, "purged without permission"
    assert ask("/page?b=2&a=1", "PURGE", X_Purge_Token=token)[0] == 200
    assert number("/page?a=1&b=2") != page, "not purged"
    one, other = number("/one?tag=p1"), number("/other?tag=p2")
    assert ask("/", "BAN", X_Purge_Token=token, X_Ban_Tag="p1 p3")[0] == 200
    assert number("/one?tag=p1") != one, "not banned"
    assert number("/other?tag=p2") == other, "banned with another"

    connection = http.client.HTTPConnection("127.0.0.1", 6081, timeout=10)
    connection.request("GET", "/page", headers={"Host": "unknown.example.com"})
    assert connection.getresponse().status == 404, "a host of no site"


if sys.argv[1] == "id":
    print(number("/kept"))
else:
    check(sys.argv[1])
