"""SQL of the board: facts of decided answers, which outlive the answers, and second looks, which measure agreement.

A fact names no person and has no content. A *second look* is a copy of a decided answer that another person judges
without knowing the first decision. It is a planted row: no gateway sees it, and no figure of real answers counts it.
"""

STEP = """
ALTER TABLE isthmus.held
    ADD COLUMN model text,
    ADD COLUMN first_due timestamptz,
    ADD COLUMN reminded boolean NOT NULL DEFAULT false;
UPDATE isthmus.held SET first_due = decide_by WHERE state = 'held';

CREATE FUNCTION isthmus.held_deadlines() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.first_due := NEW.decide_by;
    ELSIF NEW.remind_at IS NULL AND OLD.remind_at IS NOT NULL AND NEW.state = OLD.state THEN
        NEW.reminded := true;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER held_deadlines BEFORE INSERT OR UPDATE OF remind_at ON isthmus.held FOR EACH ROW
    EXECUTE FUNCTION isthmus.held_deadlines();

CREATE TABLE isthmus.review_facts (
    class text NOT NULL,
    site text NOT NULL,
    domain text NOT NULL,
    workload text NOT NULL,
    model text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('approved', 'corrected', 'rejected', 'expired', 'answered')),
    reason text NOT NULL,
    delivered boolean NOT NULL,
    in_time boolean NOT NULL,
    took_s double precision NOT NULL,
    decided_at timestamptz NOT NULL
);
CREATE INDEX review_facts_decided ON isthmus.review_facts (class, site, decided_at);
CREATE INDEX review_facts_rejected ON isthmus.review_facts (class, site, decided_at) WHERE outcome = 'rejected';

CREATE FUNCTION isthmus.review_fact() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO isthmus.review_facts VALUES (
        NEW.class, NEW.site, coalesce(NEW.domain, ''), NEW.workload, coalesce(NEW.model, ''),
        CASE
            WHEN NEW.state = 'approved' AND NEW.task = 'case' THEN 'answered'
            WHEN NEW.state = 'approved' AND NEW.corrected IS NOT NULL THEN 'corrected'
            ELSE NEW.state END,
        coalesce(NEW.reason, ''), NEW.delivered, coalesce(NEW.decided_at <= NEW.first_due, false),
        extract(epoch FROM NEW.decided_at - NEW.held_at), NEW.decided_at);
    RETURN NULL;
END $$;
CREATE TRIGGER review_fact AFTER UPDATE OF state ON isthmus.held FOR EACH ROW
    WHEN (OLD.state IN ('held', 'escalated') AND NEW.state IN ('approved', 'rejected', 'expired') AND NOT NEW.planted
        AND NEW.decided_at IS NOT NULL)
    EXECUTE FUNCTION isthmus.review_fact();

CREATE FUNCTION isthmus.review_facts_sweep(the_class text, the_site text, days integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH old_facts AS (
        DELETE FROM isthmus.review_facts
        WHERE (class, site) = (the_class, the_site) AND decided_at <= isthmus.now() - make_interval(days => days)
        RETURNING 1
    ), old_planted AS (
        DELETE FROM isthmus.planted
        WHERE (class, site) = (the_class, the_site) AND planted_at <= isthmus.now() - make_interval(days => days)
    ) SELECT count(*) FROM old_facts
$$;

ALTER TABLE isthmus.planted
    ALTER COLUMN entry DROP NOT NULL,
    ADD COLUMN first_verdict text CHECK (first_verdict IN ('approve', 'correct', 'reject')),
    ADD CHECK ((entry IS NULL) = (first_verdict IS NOT NULL));
ALTER TABLE isthmus.planted_decisions ALTER COLUMN detected DROP NOT NULL, ADD COLUMN verdict text;

CREATE OR REPLACE FUNCTION isthmus.planted_decided() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- After a correction people read other words than the planted ones.
    INSERT INTO isthmus.planted_decisions (id, version, at, detected, verdict)
        SELECT p.id, NEW.version, NEW.at, CASE WHEN p.entry IS NOT NULL THEN NEW.act <> 'approve' END, NEW.act
        FROM isthmus.planted p
        WHERE p.id = NEW.id AND NOT EXISTS (
            SELECT FROM isthmus.review_acts a
            WHERE a.id = NEW.id AND a.act = 'correct' AND a.version < NEW.version);
    RETURN NULL;
END $$;

CREATE FUNCTION isthmus.review_repeat(
    the_id text, for_id text, line bytea, deadline timestamptz, most_per_day integer
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t isthmus.held;
    at timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(4715922);  -- copies of the service plant one after the other
    at := isthmus.now();
    SELECT * INTO t FROM isthmus.held h
        WHERE h.id = for_id AND h.state IN ('approved', 'rejected') AND NOT h.planted AND h.step = 0
            AND h.task <> 'case' AND h.domain IS NOT NULL;
    IF t.id IS NULL
        OR EXISTS (SELECT FROM isthmus.planted p WHERE p.planted_for = for_id)
        OR most_per_day <= (
            SELECT count(*) FROM isthmus.planted p
            WHERE (p.class, p.site, p.domain) = (t.class, t.site, t.domain) AND p.entry IS NULL
                AND p.planted_at > at - interval '1 day')
    THEN RETURN false; END IF;
    INSERT INTO isthmus.held (
        id, class, site, workload, domain, task, subject, not_by, why, score, approvers, content, decide_by,
        escalated_for, delete_at, collect_for, delivered, planted, model
    ) VALUES (
        the_id, t.class, t.site, t.workload, t.domain, t.task, t.subject,
        t.not_by || ARRAY(SELECT DISTINCT a.by FROM isthmus.review_acts a WHERE a.id = t.id AND a.by <> ''),
        t.why, t.score, t.approvers, line, coalesce(deadline, isthmus.now() + (t.decide_by - t.held_at)),
        t.escalated_for,
        isthmus.now() + coalesce(
            (SELECT max(h.delete_at - h.held_at) FROM isthmus.held h
                WHERE (h.class, h.site, h.workload) = (t.class, t.site, t.workload)
                    AND h.state IN ('held', 'escalated')),
            t.delete_at - t.held_at),
        t.collect_for, t.delivered, true, t.model
    );
    INSERT INTO isthmus.planted (id, class, site, domain, workload, planted_for, planted_at, first_verdict)
        VALUES (the_id, t.class, t.site, t.domain, t.workload, for_id, at, CASE
            WHEN t.state = 'rejected' THEN 'reject' WHEN t.corrected IS NOT NULL THEN 'correct' ELSE 'approve' END);
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION isthmus.held_deadlines, isthmus.review_fact, isthmus.review_facts_sweep, isthmus.review_repeat
    FROM PUBLIC;
"""
"""`first_due` is an answer's deadline before any escalation; `reminded` says that its reminder was sent."""

GATEWAY_GRANTS = """
GRANT INSERT (model) ON isthmus.held TO {role};
"""

REVIEWS_GRANTS = """
GRANT SELECT ON isthmus.review_facts TO {role};
GRANT EXECUTE ON FUNCTION isthmus.review_facts_sweep, isthmus.review_repeat TO {role};
"""
