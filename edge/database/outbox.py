"""SQL of the outbox: notifications about held answers, and their delivery to each target.

A function that changes held answers writes the notification in its own transaction. A row has numbers and names from
the configuration only: no content, no person, no free text. `mode: notifier` reads it in another process.

A delivery is one notification to one target. A notifier leases a delivery while it sends it. Deliveries to one target
keep their order: the next one waits until the first is delivered or dead. All times come from `isthmus.now()`.
"""

STEP = """
CREATE FUNCTION isthmus.now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT pg_catalog.clock_timestamp()';

CREATE TABLE isthmus.outbox (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    site text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('reminder', 'escalation', 'expiry')),
    domain text NOT NULL CHECK (domain ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    addressee text NOT NULL CHECK (addressee ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    answers integer NOT NULL CHECK (answers > 0),
    oldest_at timestamptz NOT NULL,
    decide_by timestamptz,
    at timestamptz NOT NULL DEFAULT isthmus.now(),
    routed_at timestamptz
);
CREATE INDEX outbox_unrouted ON isthmus.outbox (class, site, number) WHERE routed_at IS NULL;
CREATE TABLE isthmus.outbox_deliveries (
    id uuid NOT NULL REFERENCES isthmus.outbox ON DELETE CASCADE,
    target text NOT NULL CHECK (target ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT isthmus.now(),
    leased_by uuid,
    leased_until timestamptz,
    error text CHECK (error ~ '^[a-z-]{1,40}$'),
    delivered_at timestamptz,
    dead_at timestamptz,
    PRIMARY KEY (id, target)
);
CREATE INDEX outbox_undelivered ON isthmus.outbox_deliveries (target)
    WHERE delivered_at IS NULL AND dead_at IS NULL;

CREATE FUNCTION isthmus.outbox_add(
    the_class text, the_site text, the_kind text, the_domain text, the_addressee text,
    more integer, oldest timestamptz, deadline timestamptz
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE isthmus.outbox o SET answers = o.answers + more, oldest_at = least(o.oldest_at, oldest),
        decide_by = least(o.decide_by, deadline)
    WHERE o.id = (
        SELECT w.id FROM isthmus.outbox w
        WHERE (w.class, w.site, w.kind, w.domain, w.addressee)
            = (the_class, the_site, the_kind, the_domain, the_addressee) AND w.routed_at IS NULL
            AND w.at > isthmus.now() - interval '1 hour'
        ORDER BY w.number LIMIT 1 FOR UPDATE);
    IF NOT FOUND THEN
        INSERT INTO isthmus.outbox (class, site, kind, domain, addressee, answers, oldest_at, decide_by)
            VALUES (the_class, the_site, the_kind, the_domain, the_addressee, more, oldest, deadline);
    END IF;
END $$;

CREATE FUNCTION isthmus.outbox_route(the_id uuid, targets text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE isthmus.outbox SET routed_at = isthmus.now() WHERE id = the_id AND routed_at IS NULL;
    IF FOUND THEN
        INSERT INTO isthmus.outbox_deliveries (id, target) SELECT DISTINCT the_id, t FROM unnest(targets) t;
    END IF;
END $$;

CREATE FUNCTION isthmus.outbox_lease(the_class text, the_site text, who uuid, lease_s integer)
RETURNS TABLE (
    id uuid, target text, attempts integer, kind text, domain text, addressee text, answers integer,
    oldest_at timestamptz, decide_by timestamptz, at timestamptz, asked_at timestamptz
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE found_id uuid; found_target text;
BEGIN
    asked_at := isthmus.now();
    SELECT d.id, d.target INTO found_id, found_target
    FROM isthmus.outbox_deliveries d JOIN isthmus.outbox o ON o.id = d.id
    WHERE (o.class, o.site) = (the_class, the_site) AND d.delivered_at IS NULL AND d.dead_at IS NULL
        AND d.next_at <= asked_at AND (d.leased_until IS NULL OR d.leased_until <= asked_at)
        AND NOT EXISTS (
            SELECT FROM isthmus.outbox_deliveries e JOIN isthmus.outbox p ON p.id = e.id
            WHERE e.target = d.target AND (p.class, p.site) = (the_class, the_site) AND p.number < o.number
                AND e.delivered_at IS NULL AND e.dead_at IS NULL)
    ORDER BY o.number, d.target LIMIT 1 FOR UPDATE OF d SKIP LOCKED;
    IF found_id IS NULL THEN RETURN; END IF;
    UPDATE isthmus.outbox_deliveries d
        SET leased_by = who, leased_until = asked_at + make_interval(secs => lease_s), attempts = d.attempts + 1
        WHERE (d.id, d.target) = (found_id, found_target);
    RETURN QUERY SELECT o.id, d.target, d.attempts, o.kind, o.domain, o.addressee, o.answers, o.oldest_at,
        o.decide_by, o.at, asked_at
        FROM isthmus.outbox o JOIN isthmus.outbox_deliveries d ON d.id = o.id
        WHERE (d.id, d.target) = (found_id, found_target);
END $$;

CREATE FUNCTION isthmus.outbox_renew(the_id uuid, the_target text, who uuid, lease_s integer) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH renewed AS (
        UPDATE isthmus.outbox_deliveries
        SET leased_until = isthmus.now() + make_interval(secs => lease_s)
        WHERE (id, target, leased_by) = (the_id, the_target, who) AND delivered_at IS NULL AND dead_at IS NULL
        RETURNING 1
    ) SELECT count(*) = 1 FROM renewed
$$;

CREATE FUNCTION isthmus.outbox_mark(
    the_id uuid, the_target text, who uuid, the_error text, pause interval, give_up_after interval
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE moment timestamptz := isthmus.now(); outcome text;
BEGIN
    UPDATE isthmus.outbox_deliveries d SET
        leased_by = NULL, leased_until = NULL, error = the_error, next_at = moment + pause,
        delivered_at = CASE WHEN the_error IS NULL THEN moment END,
        dead_at = CASE WHEN the_error IS NOT NULL AND o.at + give_up_after <= moment THEN moment END
    FROM isthmus.outbox o
    WHERE o.id = d.id AND (d.id, d.target, d.leased_by) = (the_id, the_target, who)
        AND d.delivered_at IS NULL AND d.dead_at IS NULL
    RETURNING CASE WHEN d.delivered_at IS NOT NULL THEN 'delivered'
        WHEN d.dead_at IS NOT NULL THEN 'dead' ELSE 'waiting' END INTO outcome;
    RETURN coalesce(outcome, 'lost');
END $$;

CREATE FUNCTION isthmus.outbox_sweep(the_class text, the_site text, keep interval) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (
        DELETE FROM isthmus.outbox o
        WHERE (o.class, o.site) = (the_class, the_site) AND o.routed_at <= isthmus.now() - keep
            AND NOT EXISTS (SELECT FROM isthmus.outbox_deliveries d WHERE d.id = o.id AND d.delivered_at IS NULL)
        RETURNING 1
    ) SELECT count(*) FROM gone
$$;

REVOKE ALL ON FUNCTION isthmus.outbox_add, isthmus.outbox_route, isthmus.outbox_lease, isthmus.outbox_renew,
    isthmus.outbox_mark, isthmus.outbox_sweep FROM PUBLIC;
"""
"""A dead delivery stays until an administrator sends it again or drops it (`python -m edge.outbox`)."""

ANNOUNCE_STEP = """
ALTER TABLE isthmus.outbox DROP CONSTRAINT outbox_kind_check,
    ADD CONSTRAINT outbox_kind_check CHECK (kind IN ('new', 'reminder', 'escalation', 'expiry',
        'review.decided', 'review.expired', 'case.answered', 'case.expired'));
ALTER TABLE isthmus.held ADD COLUMN announced boolean NOT NULL DEFAULT false;
UPDATE isthmus.held SET announced = true;
CREATE INDEX held_new ON isthmus.held (class, site, domain) WHERE NOT announced AND state = 'held';

CREATE FUNCTION isthmus.review_announce(the_class text, the_site text, domains text[], most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE event record; announced_now bigint := 0;
BEGIN
    FOR event IN
        WITH fresh AS (
            UPDATE isthmus.held SET announced = true WHERE id IN (
                SELECT o.id FROM isthmus.held o
                WHERE (o.class, o.site) = (the_class, the_site) AND o.state = 'held' AND NOT o.announced
                    AND o.domain = ANY (domains) AND NOT o.delivered AND NOT o.planted
                ORDER BY o.held_at LIMIT most FOR UPDATE SKIP LOCKED
            ) RETURNING domain, held_at, decide_by
        )
        SELECT f.domain, count(*)::integer AS answers, min(f.held_at) AS oldest, min(f.decide_by) AS deadline
        FROM fresh f GROUP BY 1 ORDER BY 1
    LOOP
        announced_now := announced_now + event.answers;
        PERFORM isthmus.outbox_add(
            the_class, the_site, 'new', event.domain, 'group', event.answers, event.oldest, event.deadline);
    END LOOP;
    RETURN announced_now;
END $$;
REVOKE ALL ON FUNCTION isthmus.review_announce FROM PUBLIC;
"""
"""Each answer is announced once, in the domains that ask for it. Answers from before the step are not."""

NOTIFIER_GRANTS = """
GRANT USAGE ON SCHEMA isthmus TO {role};
GRANT SELECT ON isthmus.migrations, isthmus.outbox, isthmus.outbox_deliveries TO {role};
GRANT EXECUTE ON FUNCTION isthmus.now, isthmus.outbox_route, isthmus.outbox_lease, isthmus.outbox_renew,
    isthmus.outbox_mark, isthmus.outbox_sweep TO {role};
"""
"""Read the outbox, and mark what was delivered. No held answer is readable."""

REVIEWS_GRANTS = """
GRANT SELECT ON isthmus.outbox, isthmus.outbox_deliveries TO {role};
GRANT EXECUTE ON FUNCTION isthmus.review_announce TO {role};
"""
"""Read, so that the review service too can say that the outbox stalls. Its functions write."""

STATUS = """
SELECT count(*) FILTER (WHERE waits) AS waiting, count(*) FILTER (WHERE dead) AS dead,
    coalesce(extract(epoch FROM isthmus.now() - min(at) FILTER (WHERE waits)), 0)::double precision AS oldest_s
FROM (
    SELECT o.at, d.dead_at IS NOT NULL AS dead,
        o.routed_at IS NULL OR (d.id IS NOT NULL AND d.delivered_at IS NULL AND d.dead_at IS NULL) AS waits
    FROM isthmus.outbox o LEFT JOIN isthmus.outbox_deliveries d ON d.id = o.id
    WHERE (o.class, o.site) = ($1, $2)
) AS deliveries
"""
"""Deliveries that wait, that are dead, and the age in seconds of the oldest that waits."""
