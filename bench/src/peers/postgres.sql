-- The same order on Postgres: stock, orders and lines in tables, one function per order in one transaction.
-- Items are locked in the order of their SKUs, so that two orders never wait for each other.
CREATE TABLE items (
    sku     text   PRIMARY KEY,
    on_hand bigint NOT NULL,
    held    bigint NOT NULL DEFAULT 0,
    CHECK (held >= 0 AND held <= on_hand)
    -- Room on each page, so that a changed row stays on it (HOT updates).
) WITH (fillfactor = 50);

CREATE TABLE orders (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key        text        NOT NULL UNIQUE,
    customer   text        NOT NULL,
    status     text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_of_customer ON orders (customer, id);

CREATE TABLE order_lines (
    order_id bigint NOT NULL REFERENCES orders,
    line     int    NOT NULL,
    sku      text   NOT NULL,
    quantity bigint NOT NULL,
    price    bigint NOT NULL,
    currency text   NOT NULL,
    held     bigint NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE FUNCTION place_order(
    the_key text, the_customer text, skus text[], quantities bigint[], prices bigint[], the_currency text,
    OUT id bigint, OUT status text
) LANGUAGE plpgsql AS $$
DECLARE
    wanted record;
    taken  text[]   := '{}';
    units  bigint[] := '{}';
BEGIN
    INSERT INTO orders (key, customer, status) VALUES (the_key, the_customer, 'confirmed')
        ON CONFLICT (key) DO NOTHING RETURNING orders.id INTO id;
    IF id IS NULL THEN
        -- The same request again: what was decided stands.
        SELECT o.id, o.status INTO id, status FROM orders o WHERE o.key = the_key;
        RETURN;
    END IF;
    status := 'confirmed';
    FOR wanted IN
        SELECT sku, sum(quantity)::bigint AS quantity FROM unnest(skus, quantities) AS l (sku, quantity)
        GROUP BY sku ORDER BY sku
    LOOP
        UPDATE items i SET held = i.held + wanted.quantity
            WHERE i.sku = wanted.sku AND i.on_hand - i.held >= wanted.quantity;
        IF NOT FOUND THEN
            UPDATE items i SET held = i.held - t.quantity
                FROM unnest(taken, units) AS t (sku, quantity) WHERE i.sku = t.sku;
            UPDATE orders o SET status = 'rejected' WHERE o.id = place_order.id;
            status := 'rejected';
            EXIT;
        END IF;
        taken := taken || wanted.sku;
        units := units || wanted.quantity;
    END LOOP;
    INSERT INTO order_lines (order_id, line, sku, quantity, price, currency, held)
        SELECT place_order.id, l.line, l.sku, l.quantity, l.price, the_currency,
               CASE WHEN place_order.status = 'confirmed' THEN l.quantity ELSE 0 END
        FROM unnest(skus, quantities, prices) WITH ORDINALITY AS l (sku, quantity, price, line);
END $$;
