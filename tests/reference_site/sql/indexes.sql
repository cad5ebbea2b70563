-- What a shop's administrator has indexed; built after the rows are there.
CREATE INDEX ON products (category_id, popularity DESC);
CREATE INDEX ON products USING gin (document);
CREATE INDEX ON reviews (product_id, written_at DESC);
CREATE INDEX ON orders (customer_id, placed_at DESC);
CREATE INDEX ON orders (placed_at);
CREATE INDEX ON order_lines (product_id);
VACUUM (ANALYZE);
