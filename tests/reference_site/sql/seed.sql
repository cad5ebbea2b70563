-- The same rows on every machine: everything follows from hashes of row numbers. Only the dates move with today.
SET synchronous_commit = off;

-- A number from 0 to m - 1 that depends on n and salt alone, spread evenly.
CREATE FUNCTION pick(salt text, n bigint, m integer) RETURNS integer LANGUAGE sql IMMUTABLE AS
$$ SELECT ((hashint8extended(n, hashtext(salt)) & 2147483647) % m)::integer $$;

-- The same from 1 to m, small ones more often: how often customers choose a product or a text a word.
CREATE FUNCTION popular(salt text, n bigint, m integer, skew float8) RETURNS integer LANGUAGE sql IMMUTABLE AS
$$ SELECT 1 + floor(m * power(pick(salt, n, 1000003)::float8 / 1000003, skew))::integer $$;

-- Word number n of the shop's language, 1 to 800; load/shop.js makes the same.
CREATE TABLE words AS
SELECT n, syllable[1 + n % 60] || syllable[1 + (n / 60) % 60] || syllable[1 + (n * 37) % 60] AS word
FROM generate_series(1, 800) AS n,
    (SELECT array_agg(c || v ORDER BY ci, vi) AS syllable
     FROM unnest(ARRAY['b','d','f','g','k','l','m','n','p','r','t','z']) WITH ORDINALITY AS consonants(c, ci),
         unnest(ARRAY['a','e','i','o','u']) WITH ORDINALITY AS vowels(v, vi)) AS syllables;
ALTER TABLE words ADD PRIMARY KEY (n);

INSERT INTO categories SELECT n, 'c' || n, initcap(word) FROM words WHERE n <= 40;
INSERT INTO brands SELECT n, 'b' || n, initcap(word) FROM (SELECT n - 100 AS n, word FROM words) AS w WHERE n BETWEEN 1 AND 60;

INSERT INTO products
SELECT p.id, 1 + p.id % 40, popular('brand', p.id, 60, 1.5), initcap(p.name), p.description,
    (ARRAY['black','white','grey','blue','red','green','yellow','brown'])[1 + pick('colour', p.id, 8)],
    500 + pick('price', p.id, 49500), 500 + pick('stock', p.id, 4500), 0, 10001 - p.id,
    setweight(to_tsvector('simple', p.name), 'A') || setweight(to_tsvector('simple', p.description), 'B')
FROM (
    SELECT id, string_agg(word, ' ' ORDER BY i) FILTER (WHERE i <= 3) AS name,
        string_agg(word, ' ' ORDER BY i) FILTER (WHERE i > 3) AS description
    FROM generate_series(1, 10000) AS id, generate_series(1, 103) AS i,
        LATERAL (SELECT popular('word', id * 1000 + i, 800, 1.3) AS n) AS chosen JOIN words USING (n)
    GROUP BY id
) AS p;

-- All have the password "correct horse battery staple".
INSERT INTO customers
SELECT n, 'customer' || n || '@example.com', 'Customer ' || n, '7368e5b0b1c94b1fa0f4f2a1b3c4d5e6',
    'bdccf4b85a6564d42c9492d13dca557e8c42bd6f4fb7c6f366ab64bdbea92063'
FROM generate_series(1, 2000) AS n;

INSERT INTO sessions SELECT encode(sha256(convert_to('reference-' || n, 'UTF8')), 'hex'), n FROM generate_series(1, 2000) AS n;

INSERT INTO reviews (id, product_id, customer_id, stars, body, written_at)
SELECT n, popular('reviewed', n, 10000, 1.6), 1 + pick('reviewer', n, 2000), 5 - pick('stars', n, 20) / 5,
    (SELECT string_agg(word, ' ') FROM words WHERE words.n BETWEEN 1 + pick('review', n, 780) AND 20 + pick('review', n, 780)),
    current_date - pick('written', n, 525600) * interval '1 minute'
FROM generate_series(1, 100000) AS n;

INSERT INTO orders (id, customer_id, placed_at)
SELECT n, 1 + pick('buyer', n, 2000), current_date - pick('placed', n, 259200) * interval '1 minute'
FROM generate_series(1, 40000) AS n;

INSERT INTO order_lines
SELECT n, bought.product_id, min(1 + pick('quantity', n * 10 + i, 3)), min(500 + pick('price', bought.product_id, 49500))
FROM generate_series(1, 40000) AS n, LATERAL generate_series(1, 1 + pick('lines', n, 4)) AS i,
    LATERAL (SELECT popular('bought', n * 10 + i, 10000, 2.5) AS product_id) AS bought
GROUP BY n, bought.product_id;

SELECT setval(pg_get_serial_sequence('orders', 'id'), 40000), setval(pg_get_serial_sequence('reviews', 'id'), 100000);
