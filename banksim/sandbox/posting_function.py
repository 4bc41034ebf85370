"""A posting of two legs in one round trip, as a function of PostgreSQL.

It does what `Ledger.post` does statement by statement: move both balances, each only where
account, currency and floor allow it, and write the posting with its legs.  It returns 0, or
the number of the leg that was refused, having then changed nothing.

Not a step of the schema: it holds no data, and is made anew at each start.
"""

from __future__ import annotations

CALL = "SELECT post_two_legs(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

CREATE = """
CREATE OR REPLACE FUNCTION post_two_legs(
    tx text, of_kind text, amount bigint, in_currency text, about text, through text, referring text,
    at_s double precision, first text, first_cents bigint, second text, second_cents bigint
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    first_id bigint;
    second_id bigint;
    posting_id bigint;
BEGIN
    UPDATE ledger_accounts SET balance_cents = balance_cents + first_cents
        WHERE account_id = first AND currency = in_currency
        AND (first_cents > 0 OR floor_cents IS NULL OR balance_cents + first_cents >= floor_cents)
        RETURNING id INTO first_id;
    IF NOT FOUND THEN RETURN 1; END IF;
    UPDATE ledger_accounts SET balance_cents = balance_cents + second_cents
        WHERE account_id = second AND currency = in_currency
        AND (second_cents > 0 OR floor_cents IS NULL OR balance_cents + second_cents >= floor_cents)
        RETURNING id INTO second_id;
    IF NOT FOUND THEN
        UPDATE ledger_accounts SET balance_cents = balance_cents - first_cents WHERE id = first_id;
        RETURN 2;
    END IF;
    INSERT INTO postings
        (transaction_id, kind, amount_cents, currency, description, channel, reference, created_at_s)
        VALUES (tx, of_kind, amount, in_currency, about, through, referring, at_s)
        RETURNING id INTO posting_id;
    INSERT INTO legs (account, posting, leg, amount_cents)
        VALUES (first_id, posting_id, 0, first_cents), (second_id, posting_id, 1, second_cents);
    RETURN 0;
END $$
"""
