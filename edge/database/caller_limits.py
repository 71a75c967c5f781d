"""SQL of limits of single keys and people: what a key may use, and how many requests of a scope run at once."""

STEP = """
ALTER TABLE isthmus.keys
    ADD COLUMN models text[] CHECK (models <> '{}'),
    ADD COLUMN allowance jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(allowance) = 'object'),
    ADD COLUMN counted_as text CHECK (counted_as ~ '^[0-9a-f]{12}$');
CREATE TABLE isthmus.parallel (
    scope text NOT NULL,
    copy uuid NOT NULL,
    slots integer NOT NULL CHECK (slots >= 0),
    renewed_at timestamptz NOT NULL,
    PRIMARY KEY (scope, copy)
);
CREATE FUNCTION isthmus.lease_parallel(
    for_scope text, for_copy uuid, most integer, want integer, OUT granted integer
) LANGUAGE plpgsql AS $$
DECLARE others integer;
BEGIN
    PERFORM pg_advisory_xact_lock(4715922, hashtext(for_scope));
    DELETE FROM isthmus.parallel
        WHERE scope = for_scope AND renewed_at < clock_timestamp() - interval '10 seconds';
    SELECT coalesce(sum(slots), 0) INTO others FROM isthmus.parallel
        WHERE scope = for_scope AND copy <> for_copy;
    granted := greatest(0, least(want, most - others));
    INSERT INTO isthmus.parallel VALUES (for_scope, for_copy, granted, clock_timestamp())
        ON CONFLICT (scope, copy) DO UPDATE SET slots = excluded.slots, renewed_at = excluded.renewed_at;
END $$;
DROP FUNCTION isthmus.lease(text, text, text, bigint, bigint, bigint);
CREATE FUNCTION isthmus.lease(
    for_scope text, for_unit text, period text, most bigint, need bigint, want bigint,
    OUT granted bigint, OUT began timestamptz, OUT ends_in double precision, OUT remaining bigint
) LANGUAGE plpgsql AS $$
DECLARE have bigint;
BEGIN
    INSERT INTO isthmus.used VALUES (for_scope, for_unit, '-infinity', 0) ON CONFLICT DO NOTHING;
    SELECT amount, since INTO have, began FROM isthmus.used
        WHERE (scope, unit) = (for_scope, for_unit) FOR UPDATE;
    IF began < date_trunc(period, clock_timestamp(), 'UTC') THEN
        began := date_trunc(period, clock_timestamp(), 'UTC');
        have := 0;
    END IF;
    ends_in := extract(epoch FROM
        date_trunc(period, began + ('1 ' || period)::interval, 'UTC') - clock_timestamp());
    granted := CASE WHEN most - have < need THEN 0
        ELSE greatest(need, least(want, (most - have) / 4)) END;
    remaining := greatest(0, most - have - granted);
    UPDATE isthmus.used SET amount = have + granted, since = began
        WHERE (scope, unit) = (for_scope, for_unit);
END $$;
"""
"""`counted_as`: id of the key whose counts a rotated key goes on with. `parallel` has what each copy of a gateway may
run at once. A copy that does not renew it for ten seconds has ended. `lease` also says what is left."""

GATEWAY_GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON isthmus.parallel TO {role};
"""
