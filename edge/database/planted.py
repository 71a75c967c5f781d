"""SQL of planted answers: wrong answers that the review service puts among the held ones, to measure how many people
detect.

A planted answer is a row of `isthmus.held` with `planted`. A row-level policy hides such rows from every database user
but the review service's, so no gateway finds one, whatever its version. What people decide on it is counted in tables
of its own, which remain when the row is deleted. They name no person.
"""

STEP = """
ALTER TABLE isthmus.held ADD COLUMN planted boolean NOT NULL DEFAULT false;
ALTER TABLE isthmus.held ENABLE ROW LEVEL SECURITY;
CREATE POLICY not_planted ON isthmus.held USING (NOT planted);

CREATE TABLE isthmus.planted (
    id text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{32}$'),
    class text NOT NULL,
    site text NOT NULL,
    domain text NOT NULL,
    workload text NOT NULL,
    entry text NOT NULL,
    planted_for text NOT NULL UNIQUE,
    planted_at timestamptz NOT NULL
);
CREATE INDEX planted_entries ON isthmus.planted (class, site, domain, entry, planted_at);
CREATE TABLE isthmus.planted_decisions (
    id text NOT NULL REFERENCES isthmus.planted ON DELETE CASCADE,
    version integer NOT NULL,
    at timestamptz NOT NULL,
    detected boolean NOT NULL,
    PRIMARY KEY (id, version)
);
CREATE TABLE isthmus.planted_readers (
    class text NOT NULL,
    site text NOT NULL,
    domain text NOT NULL,
    entry text NOT NULL,
    who text NOT NULL,
    PRIMARY KEY (class, site, domain, entry, who)
);

CREATE FUNCTION isthmus.review_plant(
    the_id text, for_id text, the_entry text, line bytea, the_score double precision, deadline timestamptz,
    most_per_day integer, most_uses integer
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t isthmus.held;
    at timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(4715922);  -- copies of the service plant one after the other
    at := isthmus.now();
    SELECT * INTO t FROM isthmus.held h
        WHERE h.id = for_id AND h.state = 'held' AND NOT h.planted AND h.domain IS NOT NULL;
    IF t.id IS NULL
        OR EXISTS (SELECT FROM isthmus.planted p WHERE p.planted_for = for_id)
        OR most_per_day <= (
            SELECT count(*) FROM isthmus.planted p
            WHERE (p.class, p.site, p.domain) = (t.class, t.site, t.domain) AND p.planted_at > at - interval '1 day')
        OR most_uses <= (
            SELECT count(*) FROM isthmus.planted p
            WHERE (p.class, p.site, p.domain, p.entry) = (t.class, t.site, t.domain, the_entry))
        OR EXISTS (
            SELECT FROM isthmus.planted p JOIN isthmus.held h USING (id)
            WHERE (p.class, p.site, p.domain, p.entry) = (t.class, t.site, t.domain, the_entry)
                AND h.state IN ('held', 'escalated'))
    THEN RETURN false; END IF;
    INSERT INTO isthmus.held (
        id, class, site, workload, domain, task, subject, not_by, why, score, approvers, content, decide_by,
        escalated_for, delete_at, collect_for, delivered, planted
    ) VALUES (
        the_id, t.class, t.site, t.workload, t.domain, t.task, t.subject,
        t.not_by || ARRAY(
            SELECT r.who FROM isthmus.planted_readers r
            WHERE (r.class, r.site, r.domain, r.entry) = (t.class, t.site, t.domain, the_entry)),
        t.why, the_score, t.approvers, line, coalesce(deadline, isthmus.now() + (t.decide_by - t.held_at)),
        t.escalated_for, isthmus.now() + (t.delete_at - t.held_at), t.collect_for, t.delivered, true
    );
    INSERT INTO isthmus.planted
        VALUES (the_id, t.class, t.site, t.domain, t.workload, the_entry, for_id, at);
    RETURN true;
END $$;

CREATE FUNCTION isthmus.planted_defer(the_id text, deadline timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE isthmus.held SET decide_by = least(deadline, delete_at - interval '1 day')
    WHERE id = the_id AND planted AND state = 'escalated'
$$;

CREATE FUNCTION isthmus.planted_withdraw(the_class text, the_site text, within interval, most integer)
RETURNS TABLE (id text, workload text, state text, version integer, edition integer, content bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    h isthmus.held;
    at timestamptz := isthmus.now();
BEGIN
    FOR h IN SELECT * FROM isthmus.held o
        WHERE (o.class, o.site) = (the_class, the_site) AND o.state IN ('held', 'escalated') AND o.planted
            AND o.decide_by <= at + within
        ORDER BY o.held_at, o.id LIMIT most FOR UPDATE SKIP LOCKED
    LOOP
        UPDATE isthmus.held o SET state = 'expired', version = h.version + 1, decided_at = at,
            delete_at = least(h.delete_at, at + h.collect_for), claimed_by = NULL, claimed_until = NULL,
            reason = 'deadline'
        WHERE o.id = h.id;
        INSERT INTO isthmus.review_acts VALUES (h.id, h.version + 1, at, 'expire', '', 'deadline', NULL);
        id := h.id; workload := h.workload; state := 'expired'; version := h.version + 1; edition := h.edition;
        content := coalesce(h.corrected, h.content);
        RETURN NEXT;
    END LOOP;
END $$;

CREATE FUNCTION isthmus.planted_decided() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- After a correction people read other words than the planted ones.
    INSERT INTO isthmus.planted_decisions
        SELECT h.id, NEW.version, NEW.at, NEW.act <> 'approve' FROM isthmus.held h
        WHERE h.id = NEW.id AND h.planted AND NOT EXISTS (
            SELECT FROM isthmus.review_acts a
            WHERE a.id = NEW.id AND a.act = 'correct' AND a.version < NEW.version);
    RETURN NULL;
END $$;
CREATE TRIGGER planted_decided AFTER INSERT ON isthmus.review_acts FOR EACH ROW
    WHEN (NEW.by <> '' AND NEW.act IN ('approve', 'correct', 'reject', 'escalate'))
    EXECUTE FUNCTION isthmus.planted_decided();

REVOKE ALL ON FUNCTION isthmus.review_plant, isthmus.planted_defer, isthmus.planted_withdraw, isthmus.planted_decided
    FROM PUBLIC;
"""
"""`review_plant` copies workload, reasons, deadlines and the number of approvers from a waiting answer, so that the
planted one looks the same. `planted_withdraw` ends planted answers just before their deadline: nobody is notified of
them. `planted_readers` has pseudonyms of those who read an entry; none of them gets it again.
"""

REVIEWS_GRANTS = """
DROP POLICY IF EXISTS {role} ON isthmus.held;
CREATE POLICY {role} ON isthmus.held FOR SELECT TO {role} USING (true);
GRANT SELECT ON isthmus.planted, isthmus.planted_decisions TO {role};
GRANT SELECT, INSERT ON isthmus.planted_readers TO {role};
GRANT EXECUTE ON FUNCTION isthmus.review_plant, isthmus.planted_defer, isthmus.planted_withdraw TO {role};
"""
"""The review service alone sees planted rows. Their flag is never set by another way than `review_plant`."""
