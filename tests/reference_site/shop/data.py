# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shop's statements. Each function takes an open connection and returns plain data."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

import psycopg

Connection = psycopg.Connection[dict[str, t.Any]]
Row = dict[str, t.Any]

PAGE = 24
SORTS = {"popular": "p.popularity DESC, p.id", "price": "p.price_cents, p.id", "new": "p.id DESC"}

CARDS = """
SELECT p.id, p.name, p.version, p.price_cents AS price, b.name AS brand,
    p.stock,
    r.count AS reviews, round(r.stars, 1)::float8 AS stars
FROM products p JOIN brands b ON b.id = p.brand_id,
    LATERAL (SELECT count(*), avg(stars) AS stars FROM reviews WHERE product_id = p.id) r
WHERE p.id = ANY (%s)
"""
BEST_SELLERS = """
SELECT l.product_id AS id FROM orders o JOIN order_lines l ON l.order_id = o.id
WHERE o.placed_at > now() - interval '30 days'
GROUP BY l.product_id ORDER BY sum(l.quantity) DESC, l.product_id LIMIT %s
"""
LISTING = """
WITH found AS (
    SELECT p.id, p.brand_id, p.colour, p.price_cents, p.popularity FROM products p WHERE p.category_id = %(category)s
), chosen AS (
    SELECT * FROM found WHERE (%(brand)s::int IS NULL OR brand_id = %(brand)s::int)
        AND (%(colour)s::text IS NULL OR colour = %(colour)s::text)
)
SELECT (SELECT count(*) FROM chosen) AS total,
    (SELECT json_agg(id) FROM (SELECT id FROM chosen p ORDER BY {order} LIMIT {page} OFFSET %(offset)s) s) AS ids,
    (SELECT json_agg(json_build_array('b' || id, name, n) ORDER BY n DESC, id) FROM (
        SELECT b.id, b.name, count(*) AS n FROM found JOIN brands b ON b.id = brand_id GROUP BY b.id, b.name
    ) s) AS brands,
    (SELECT json_agg(json_build_array(colour, n) ORDER BY n DESC, colour) FROM (
        SELECT colour, count(*) AS n FROM found GROUP BY colour) s) AS colours
"""
SEARCH = """
WITH found AS (
    SELECT p.id, p.category_id, ts_rank(p.document, q) AS rank, p.popularity
    FROM products p, plainto_tsquery('simple', %(text)s) q WHERE p.document @@ q
)
SELECT (SELECT count(*) FROM found) AS total,
    (SELECT json_agg(id) FROM (
        SELECT id FROM found ORDER BY rank DESC, popularity DESC LIMIT {page} OFFSET %(offset)s) s) AS ids,
    (SELECT json_agg(json_build_array(slug, name, n) ORDER BY n DESC, slug) FROM (
        SELECT c.slug, c.name, count(*) AS n FROM found JOIN categories c ON c.id = category_id
        GROUP BY c.slug, c.name ORDER BY n DESC LIMIT 10) s) AS categories
"""
PRODUCT = """
SELECT p.id, p.description, p.colour, c.slug AS category, c.name AS category_name,
    (SELECT json_agg(json_build_array(r.stars, r.body, u.name)) FROM (
        SELECT * FROM reviews WHERE product_id = p.id ORDER BY written_at DESC, id LIMIT 10) r
        JOIN customers u ON u.id = r.customer_id) AS reviews,
    (SELECT json_agg(id) FROM (
        SELECT other.product_id AS id FROM order_lines own JOIN order_lines other USING (order_id)
        WHERE own.product_id = p.id AND other.product_id <> p.id
        GROUP BY other.product_id ORDER BY count(*) DESC, other.product_id LIMIT 6) s) AS related
FROM products p JOIN categories c ON c.id = p.category_id WHERE p.id = %s
"""
ORDERS = """
SELECT o.id, o.placed_at::date::text AS day, sum(l.quantity * l.price_cents) AS total, sum(l.quantity) AS pieces
FROM (SELECT * FROM orders WHERE customer_id = %(customer)s ORDER BY id DESC LIMIT 10) o
    JOIN order_lines l ON l.order_id = o.id
GROUP BY o.id, o.placed_at ORDER BY o.id DESC
"""


class Refused(Exception):
    """What a customer wants cannot be done; one sentence for them."""


def all_of(connection: Connection, statement: str, values: t.Any = ()) -> list[Row]:
    """The rows of a statement."""
    return connection.execute(statement.encode(), values).fetchall()


def one_of(connection: Connection, statement: str, values: t.Any = ()) -> Row | None:
    """Its first row."""
    return connection.execute(statement.encode(), values).fetchone()


def availability(stock: int) -> str:
    """What pages say of a stock."""
    return "in stock" if stock > 10 else "few left" if stock > 0 else "sold out"


def cards(connection: Connection, ids: Sequence[str]) -> dict[str, Row]:
    """What a page shows of each product in a list: name, price with its version, availability, stars."""
    rows = all_of(connection, CARDS, ([int(one) for one in ids],))
    return {str(row["id"]): row | {"availability": availability(row.pop("stock"))} for row in rows}


def categories(connection: Connection) -> list[Row]:
    """All, for the menu."""
    return all_of(connection, "SELECT slug, name FROM categories ORDER BY id")


def listing(connection: Connection, category: int, choice: Mapping[str, t.Any]) -> Row | None:
    """One page of a category: ids, how many there are, and how many there are of each brand and colour."""
    statement = LISTING.format(order=SORTS[choice["sort"]].replace("p.", ""), page=PAGE)
    values = {"category": category, "offset": PAGE * (choice["page"] - 1)}
    return one_of(connection, statement, values | {key: choice[key] for key in ("brand", "colour")})


def search(connection: Connection, text: str, page: int) -> Row | None:
    """One page of what a text finds, best first, and in which categories it is."""
    return one_of(connection, SEARCH.format(page=PAGE), {"text": text, "offset": PAGE * (page - 1)})


def cart(connection: Connection, customer: int) -> list[Row]:
    """The lines of a cart with what they cost now."""
    return all_of(
        connection,
        "SELECT l.product_id AS id, l.quantity, p.name, p.price_cents AS price, p.version FROM cart_lines l "
        "JOIN products p ON p.id = l.product_id WHERE l.customer_id = %s ORDER BY l.product_id",
        (customer,),
    )


def quantities(connection: Connection, customer: int) -> list[list[int]]:
    """What is in a cart, and how many of it, without what it costs."""
    lines = all_of(
        connection,
        "SELECT product_id AS id, quantity FROM cart_lines WHERE customer_id = %s ORDER BY product_id",
        (customer,),
    )
    return [[line["id"], line["quantity"]] for line in lines]


def account(connection: Connection, customer: int) -> Row:
    """A customer's name, address, number of orders, and the last ten of them."""
    found = one_of(
        connection,
        "SELECT id, name, email, (SELECT count(*) FROM orders WHERE customer_id = c.id) AS orders "
        "FROM customers c WHERE id = %s",
        (customer,),
    )
    assert found is not None
    return found | {"last": all_of(connection, ORDERS, {"customer": customer})}


def set_quantity(connection: Connection, customer: int, product: int, quantity: int, add: bool) -> None:
    """Put a product into a cart, or change how many are in it; 0 takes it out."""
    if quantity == 0 and not add:
        connection.execute(
            "DELETE FROM cart_lines WHERE customer_id = %s AND product_id = %s",
            (customer, product),
        )
        return
    new = "cart_lines.quantity + excluded.quantity" if add else "excluded.quantity"
    try:
        connection.execute(
            "INSERT INTO cart_lines VALUES (%s, %s, %s) ON CONFLICT (customer_id, product_id) "
            f"DO UPDATE SET quantity = {new}".encode(),
            (customer, product, quantity),
        )
    except psycopg.errors.ForeignKeyViolation:
        raise Refused(f"there is no product {product}") from None


def place_order(connection: Connection, customer: int) -> tuple[Row, list[int]]:
    """Buy what is in the cart; returns the order and the products whose availability it changed."""
    with connection.transaction():
        lines = all_of(
            connection,
            "SELECT p.id, p.name, p.price_cents, p.stock, l.quantity FROM cart_lines l "
            "JOIN products p ON p.id = l.product_id WHERE l.customer_id = %s ORDER BY p.id FOR UPDATE",
            (customer,),
        )
        if not lines:
            raise Refused("the cart is empty")
        for line in lines:
            if line["stock"] < line["quantity"]:
                raise Refused(f"only {line['stock']} of {line['name']} are left")
        order = one_of(connection, "INSERT INTO orders (customer_id) VALUES (%s) RETURNING id", (customer,))
        assert order is not None
        connection.execute(
            "INSERT INTO order_lines SELECT %s, l.product_id, l.quantity, p.price_cents FROM cart_lines l "
            "JOIN products p ON p.id = l.product_id WHERE l.customer_id = %s",
            (order["id"], customer),
        )
        connection.execute(
            "UPDATE products p SET stock = p.stock - l.quantity FROM cart_lines l "
            "WHERE l.product_id = p.id AND l.customer_id = %s",
            (customer,),
        )
        connection.execute("DELETE FROM cart_lines WHERE customer_id = %s", (customer,))
    total = sum(line["quantity"] * line["price_cents"] for line in lines)
    crossed = [
        line["id"] for line in lines if availability(line["stock"]) != availability(line["stock"] - line["quantity"])
    ]
    return {"id": order["id"], "total": total, "pieces": sum(line["quantity"] for line in lines)}, crossed


def change_product(connection: Connection, product: int, column: str, value: int) -> tuple[Row, bool]:
    """Staff set ``price_cents`` or ``stock``; returns the product, and whether pages show something else now."""
    with connection.transaction():
        before = one_of(connection, "SELECT price_cents, stock FROM products WHERE id = %s FOR UPDATE", (product,))
        if before is None:
            raise Refused(f"there is no product {product}")
        shown = column == "price_cents" or availability(before["stock"]) != availability(value)
        changed = one_of(
            connection,
            f"UPDATE products SET {column} = %s, version = version + %s WHERE id = %s "
            "RETURNING id, version, price_cents AS price, stock",
            (value, int(shown), product),
        )
        assert changed is not None
        connection.execute(
            "INSERT INTO product_changes (product_id, version, price_cents, stock) VALUES (%s, %s, %s, %s)",
            (changed["id"], changed["version"], changed["price"], changed["stock"]),
        )
    return changed, shown
