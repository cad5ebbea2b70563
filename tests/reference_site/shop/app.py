# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shop as a WSGI application: ``gunicorn 'shop.app:create()'``.

Public pages say how long a shared cache may keep them and carry surrogate keys (``p12`` for product 12) by which
they are forgotten; browsers ask again with their ``ETag``. What belongs to a customer is ``private, no-store``.
Every answer holds its facts in a form that a program reads: in JSON itself, in HTML in ``<script id="facts">``.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import hmac
import json
import re
import secrets
import sys
import time
import typing as t
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import jinja2
import psycopg
import psycopg.rows
from shop import data, invalidation
from shop.cache import Cache, ForgetError
from shop.rendering import Rendering
from shop.settings import RENDERING, Settings, SettingsError, read
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, NotFound, ServiceUnavailable
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

FOLDER = Path(__file__).resolve().parent
COOKIE = "shop_session"
#: seconds that a shared cache may keep a page
SECONDS = {"home": 60, "category": 120, "search": 120, "product": 300, "login": 300}
COLOURS = ("black", "white", "grey", "blue", "red", "green", "yellow", "brown")
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
PRIVATE = "private, no-store"

ROUTES = Map(
    [
        Rule("/", endpoint="home"),
        Rule("/c/<slug>", endpoint="category"),
        Rule("/p/<int:product>", endpoint="product"),
        Rule("/search", endpoint="search"),
        Rule("/assets/<name>", endpoint="asset"),
        Rule("/login", endpoint="login", methods=["GET"]),
        Rule("/login", endpoint="log_in", methods=["POST"]),
        Rule("/header", endpoint="header"),
        Rule("/cart", endpoint="cart", methods=["GET"]),
        Rule("/cart", endpoint="add_to_cart", methods=["POST"]),
        Rule("/cart/<int:product>", endpoint="change_cart", methods=["PUT"]),
        Rule("/account", endpoint="account"),
        Rule("/checkout", endpoint="checkout", methods=["GET"]),
        Rule("/checkout", endpoint="place_order", methods=["POST"]),
        Rule("/staff/products/<int:product>", endpoint="change_product", methods=["PATCH"]),
        Rule("/health", endpoint="health"),
    ]
)


class Exchange:
    """One request on its way, with the database connection that it opens when it needs one."""

    def __init__(self, request: Request, settings: Settings) -> None:
        self.request = request
        self.started = time.monotonic()
        self._settings = settings
        self._connection: data.Connection | None = None

    @property
    def connection(self) -> data.Connection:
        """A connection of this request alone, as most frameworks open it."""
        if self._connection is None:
            # Values are put into the statements here, as psycopg2 and most frameworks on it do: a connection pool may
            # hand each transaction to another server process, and pgpool-II 4.3 leaves a write by the extended protocol
            # in a transaction of its own making, which the end of the connection takes back.
            self._connection = psycopg.connect(
                self._settings.database_url,
                autocommit=True,
                cursor_factory=psycopg.ClientCursor,
                row_factory=psycopg.rows.dict_row,
            )
        return self._connection

    def close(self) -> None:
        """Close what was opened."""
        if self._connection is not None:
            self._connection.close()


class Shop:
    """The application."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cache = Cache(settings.cache_url, settings.cache_policy)
        self._rendering = Rendering()
        self._pages = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        self._pages.filters["money"] = lambda cents: f"{cents / 100:,.2f} EUR"
        self._assets = {path.name: path.read_bytes() for path in sorted((FOLDER / "assets").iterdir())}

    def __call__(self, environ: dict[str, t.Any], start_response: Callable[..., t.Any]) -> Iterable[bytes]:
        request = Request(environ)
        kept = False
        try:
            endpoint, values = ROUTES.bind_to_environ(environ).match()
            kept = endpoint in SECONDS
            if kept:
                self._rendering.begin()
            with self._exchange(request) as exchange:
                response = getattr(self, f"_{endpoint}")(exchange, **values)
        except data.Refused as refused:
            response = self._json({"refused": str(refused)}, status=409)
        except (psycopg.OperationalError, ForgetError) as error:
            print(f"503: {error}", file=sys.stderr, flush=True)
            response = ServiceUnavailable().get_response(environ)
        except HTTPException as error:
            response = error.get_response(environ)
        except BaseException:
            self._rendering.end()
            raise
        response.headers.setdefault("Cache-Control", "no-store")
        self._compress(request, response)
        if kept:
            response.call_on_close(self._rendering.end)
        return t.cast(Iterable[bytes], response(environ, start_response))

    @contextlib.contextmanager
    def _exchange(self, request: Request) -> Iterator[Exchange]:
        exchange = Exchange(request, self._settings)
        try:
            yield exchange
        finally:
            exchange.close()

    # Answers

    def _render(self, name: str, facts: dict[str, t.Any], **values: t.Any) -> str:
        text = json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c")
        return self._pages.get_template(name).render(facts=text, **values)

    def _public(self, exchange: Exchange, kind: str, page: str, products: Iterable[int]) -> Response:
        """A page for everybody."""
        response = Response(page, mimetype="text/html")
        response.headers["Surrogate-Key"] = " ".join(f"p{one}" for one in sorted(set(products)))
        response.headers["Vary"] = "Accept-Encoding"
        response.set_etag(hashlib.sha1(page.encode(), usedforsecurity=False).hexdigest(), weak=True)
        if time.monotonic() - exchange.started < RENDERING:
            response.headers["Cache-Control"] = f"public, max-age=0, s-maxage={SECONDS[kind]}"
        else:
            # Changes do not wait for it: it may arrive in a cache after the last purge of what it shows.
            response.headers["Cache-Control"] = "no-store"
        return response.make_conditional(exchange.request)

    def _private(self, page: str) -> Response:
        """A page for one customer."""
        return Response(page, mimetype="text/html", headers={"Cache-Control": PRIVATE, "Vary": "Cookie"})

    def _json(self, content: t.Any, status: int = 200) -> Response:
        """An answer to a program in the browser."""
        return Response(
            json.dumps(content, default=str), status, {"Cache-Control": PRIVATE, "Vary": "Cookie"}, "application/json"
        )

    @staticmethod
    def _compress(request: Request, response: Response) -> None:
        compressible = response.mimetype.startswith("text/") or response.mimetype in {"image/svg+xml"}
        if response.status_code == 200 and compressible and "gzip" in request.accept_encodings:
            response.data = gzip.compress(response.data, 5, mtime=0)
            response.headers["Content-Encoding"] = "gzip"

    # Public pages

    def _cards(self, exchange: Exchange, ids: Sequence[int]) -> list[data.Row]:
        found = self._cache.leased(
            "card", [str(one) for one in dict.fromkeys(ids)], lambda keys: data.cards(exchange.connection, keys)
        )
        return [found[str(one)] for one in ids if str(one) in found]

    def _menu(self, exchange: Exchange) -> list[data.Row]:
        menu: list[data.Row] = self._cache.cached("listing", "menu", lambda: data.categories(exchange.connection))
        return menu

    def _home(self, exchange: Exchange) -> Response:
        ids = self._cache.cached(
            "best_sellers",
            "48",
            lambda: [row["id"] for row in data.all_of(exchange.connection, data.BEST_SELLERS, (48,))],
        )
        cards = self._cards(exchange, ids)
        page = self._render("list.html", facts_of("home", cards), title="Shop", menu=self._menu(exchange), cards=cards)
        return self._public(exchange, "home", page, ids)

    def _category(self, exchange: Exchange, slug: str) -> Response:
        menu = self._menu(exchange)
        category = next((one for one in menu if one["slug"] == slug), None)
        if category is None:
            raise NotFound
        choice = choice_of(exchange.request)
        found = self._cache.cached(
            "listing",
            json.dumps([slug, choice], sort_keys=True),
            lambda: data.listing(exchange.connection, int(slug[1:]), choice),
        )
        cards = self._cards(exchange, found["ids"] or [])
        page = self._render(
            "list.html",
            facts_of("category", cards),
            title=category["name"],
            menu=menu,
            cards=cards,
            found=found,
            choice=choice,
            slug=slug,
        )
        return self._public(exchange, "category", page, found["ids"] or [])

    def _search(self, exchange: Exchange) -> Response:
        text = " ".join(exchange.request.args.get("q", "").lower().split())[:100]
        page = number(exchange.request, "page", 1)
        found: dict[str, t.Any] = {"total": 0, "ids": [], "categories": []}
        if text:
            found = self._cache.cached(
                "search", json.dumps([text, page]), lambda: data.search(exchange.connection, text, page)
            )
        cards = self._cards(exchange, found["ids"] or [])
        html = self._render(
            "list.html",
            facts_of("search", cards),
            title=text or "Search",
            menu=self._menu(exchange),
            cards=cards,
            found=found,
            text=text,
            choice={"page": page},
        )
        return self._public(exchange, "search", html, found["ids"] or [])

    def _product(self, exchange: Exchange, product: int) -> Response:
        details = self._cache.cached(
            "product", str(product), lambda: data.one_of(exchange.connection, data.PRODUCT, (product,))
        )
        if details is None:
            raise NotFound
        own, *related = self._cards(exchange, [product, *(details["related"] or [])])
        page = self._render(
            "product.html",
            facts_of("product", [own]),
            title=own["name"],
            menu=self._menu(exchange),
            details=details,
            own=own,
            related=related,
        )
        # Of the others it shows what does not change with their price.
        return self._public(exchange, "product", page, [product])

    def _asset(self, exchange: Exchange, name: str) -> Response:
        content = self._assets.get(name)
        if content is None:
            raise NotFound
        # The name changes with the content.
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        return Response(content, headers=headers, content_type=TYPES[Path(name).suffix])

    def _login(self, exchange: Exchange) -> Response:
        page = self._render("login.html", {"page": "login"}, title="Log in", menu=self._menu(exchange))
        return self._public(exchange, "login", page, [])

    # A customer's own

    def _customer(self, exchange: Exchange) -> int:
        """Who asks; raises Forbidden for a browser without a session."""
        held = exchange.request.cookies.get(COOKIE, "")
        if not held:
            raise Forbidden
        token = hashlib.sha256(held.encode()).hexdigest()
        found = self._cache.cached(
            "session",
            token,
            lambda: data.one_of(exchange.connection, "SELECT customer_id FROM sessions WHERE token = %s", (token,)),
        )
        if found is None:
            raise Forbidden
        return int(found["customer_id"])

    def _name(self, exchange: Exchange, customer: int) -> data.Row:
        """Name and email."""
        found: data.Row = self._cache.cached(
            "customer",
            str(customer),
            lambda: data.one_of(exchange.connection, "SELECT name, email FROM customers WHERE id = %s", (customer,)),
        )
        return found

    def _quantities(self, exchange: Exchange, customer: int) -> list[list[int]]:
        """What is in a cart, by product."""
        found = self._cache.leased(
            "cart", [str(customer)], lambda keys: {keys[0]: data.quantities(exchange.connection, customer)}
        )
        return t.cast(list[list[int]], found[str(customer)])

    def _lines(self, exchange: Exchange, customer: int) -> list[data.Row]:
        """What is in a cart with what it costs now."""
        if not self._cache.keeps("cart"):
            return data.cart(exchange.connection, customer)
        quantities = self._quantities(exchange, customer)
        cards = self._cards(exchange, [product for product, _quantity in quantities])
        return [card | {"quantity": quantity} for card, (_product, quantity) in zip(cards, quantities)]

    def _header(self, exchange: Exchange) -> Response:
        customer = self._customer(exchange)
        if self._cache.keeps("cart"):
            count = sum(quantity for _product, quantity in self._quantities(exchange, customer))
            return self._json(
                own_facts("header", customer) | {"name": self._name(exchange, customer)["name"], "count": count}
            )
        found = data.one_of(
            exchange.connection,
            "SELECT name, (SELECT coalesce(sum(quantity), 0) FROM cart_lines WHERE customer_id = c.id)::int AS count "
            "FROM customers c WHERE id = %s",
            (customer,),
        )
        assert found is not None
        return self._json(own_facts("header", customer) | found)

    def _cart(self, exchange: Exchange) -> Response:
        return self._cart_page(exchange, "cart")

    def _checkout(self, exchange: Exchange) -> Response:
        return self._cart_page(exchange, "checkout")

    def _cart_page(self, exchange: Exchange, kind: str) -> Response:
        customer = self._customer(exchange)
        lines = self._lines(exchange, customer)
        who = self._name(exchange, customer)
        facts = own_facts(kind, customer) | cart_facts(lines)
        total = sum(line["price"] * line["quantity"] for line in lines)
        menu = self._menu(exchange)
        return self._private(
            self._render(
                "cart.html", facts, title=kind.title(), menu=menu, kind=kind, lines=lines, total=total, who=who
            )
        )

    def _account(self, exchange: Exchange) -> Response:
        customer = self._customer(exchange)
        who = self._cache.leased(
            "account", [str(customer)], lambda keys: {keys[0]: data.account(exchange.connection, customer)}
        )[str(customer)]
        facts = own_facts("account", customer)
        facts |= {"orders": who["orders"], "last": who["last"][0]["id"] if who["last"] else None}
        menu = self._menu(exchange)
        return self._private(self._render("account.html", facts, title="Account", menu=menu, who=who))

    # What customers write

    def _log_in(self, exchange: Exchange) -> Response:
        email, password = exchange.request.form.get("email", ""), exchange.request.form.get("password", "")
        found = data.one_of(
            exchange.connection, "SELECT id, salt, password FROM customers WHERE email = %s", (email,)
        ) or {"id": None, "salt": "00" * 16, "password": ""}
        # Also without such a customer: how long the answer takes does not tell who is one.
        hashed = hashlib.scrypt(password.encode(), salt=bytes.fromhex(found["salt"]), n=2**14, r=8, p=1, dklen=32).hex()
        if not hmac.compare_digest(hashed, found["password"]):
            raise Forbidden
        token = secrets.token_urlsafe(24)
        exchange.connection.execute(
            "INSERT INTO sessions (token, customer_id) VALUES (%s, %s)",
            (hashlib.sha256(token.encode()).hexdigest(), found["id"]),
        )
        response = self._json(own_facts("login", found["id"]))
        response.set_cookie(COOKIE, token, max_age=86400 * 30, httponly=True, samesite="Lax")
        return response

    def _add_to_cart(self, exchange: Exchange) -> Response:
        wanted = exchange.request.get_json()
        product, quantity = whole(wanted, "product", 1), whole(wanted, "quantity", 1)
        return self._set_quantity(exchange, product, quantity, add=True)

    def _change_cart(self, exchange: Exchange, product: int) -> Response:
        return self._set_quantity(exchange, product, whole(exchange.request.get_json(), "quantity", 0), add=False)

    def _set_quantity(self, exchange: Exchange, product: int, quantity: int, add: bool) -> Response:
        customer = self._customer(exchange)
        data.set_quantity(exchange.connection, customer, product, quantity, add)
        self._cache.forget("cart", [str(customer)])
        lines = self._lines(exchange, customer)
        return self._json(own_facts("cart", customer) | cart_facts(lines))

    def _place_order(self, exchange: Exchange) -> Response:
        customer = self._customer(exchange)
        order, crossed = data.place_order(exchange.connection, customer)
        self._cache.forget("cart", [str(customer)])
        self._cache.forget("account", [str(customer)])
        if crossed:
            # "few left" and "sold out" show soon; the next order of the same product looks at the stock itself.
            self._cache.forget("card", [str(one) for one in crossed])
            invalidation.ban(self._settings, [f"p{one}" for one in crossed])
        return self._json(own_facts("order", customer) | {"order": order})

    # What the shop's staff writes

    def _change_product(self, exchange: Exchange, product: int) -> Response:
        expected = f"Bearer {self._settings.staff_token}".encode()
        if not hmac.compare_digest(exchange.request.headers.get("Authorization", "").encode(), expected):
            raise Forbidden
        wanted = exchange.request.get_json()
        column = "price_cents" if "price" in wanted else "stock"
        value = whole(wanted, "price", 1) if "price" in wanted else whole(wanted, "stock", 0)
        changed, shown = data.change_product(exchange.connection, product, column, value)
        exchange.close()
        if shown:
            self._cache.forget("card", [str(product)])
            invalidation.ban_surely(self._settings, self._rendering, [f"p{product}"])
        return self._json({"page": "product", "products": [[product, changed["version"], changed["price"]]]})

    def _health(self, exchange: Exchange) -> Response:
        data.one_of(exchange.connection, "SELECT 1 AS one")
        return self._json({"healthy": True})


def facts_of(page: str, cards: Sequence[data.Row]) -> dict[str, t.Any]:
    """What a public page shows: of each product its version and price in cents."""
    return {"page": page, "products": [[card["id"], card["version"], card["price"]] for card in cards]}


def own_facts(page: str, customer: int) -> dict[str, t.Any]:
    """What every answer to a customer says: whose it is, and a number that no other rendering has."""
    return {"page": page, "owner": customer, "rendering": secrets.token_hex(8)}


def cart_facts(lines: Sequence[data.Row]) -> dict[str, t.Any]:
    """What is in a cart."""
    return {
        "lines": [[line["id"], line["quantity"]] for line in lines],
        "products": [[line["id"], line["version"], line["price"]] for line in lines],
    }


def number(request: Request, name: str, default: int) -> int:
    """A small positive number of the query string; anything else is the default."""
    text = request.args.get(name, "")
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,3}", text) else default


def whole(wanted: t.Any, name: str, smallest: int) -> int:
    """A number that a program sent; raises BadRequest."""
    value = wanted.get(name) if isinstance(wanted, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= 10_000_000:
        raise BadRequest(f"{name} is a number from {smallest} to 10000000")
    return value


def choice_of(request: Request) -> dict[str, t.Any]:
    """Which products of a category are shown, in which order; what makes no sense is left out."""
    brand, colour = request.args.get("brand", ""), request.args.get("colour", "")
    sort = request.args.get("sort", "")
    return {
        "brand": int(brand[1:]) if re.fullmatch(r"b[1-9][0-9]{0,3}", brand) else None,
        "colour": colour if colour in COLOURS else None,
        "sort": sort if sort in data.SORTS else "popular",
        "page": number(request, "page", 1),
    }


def create() -> Shop:
    """The application with the environment's settings, for a WSGI server."""
    try:
        return Shop(read())
    except SettingsError as error:
        raise SystemExit(f"error: {error}") from None
