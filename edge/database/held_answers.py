"""SQL of held answers: the tables, and the functions that are the only way to change a held answer's state.

    held ──▶ approved | rejected | escalated        escalated ──▶ approved | rejected | expired

A *delivered* answer was given out at once; people look at it afterwards, and its deadline expires it.

Votes belong to an *edition*: a correction or an escalation begins a new one, and earlier votes no longer count. The
*version* grows with every act, and an act names the version it refers to. All times come from the database's clock.
"""

STEP = """
CREATE TABLE isthmus.held (
    id text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{32}$'),
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    site text NOT NULL,
    workload text NOT NULL CHECK (workload <> ''),
    domain text,
    task text NOT NULL,
    subject text NOT NULL,
    not_by text[] NOT NULL,
    why text[] NOT NULL CHECK (cardinality(why) > 0),
    score double precision,
    approvers integer NOT NULL CHECK (approvers BETWEEN 1 AND 9),
    content bytea NOT NULL,
    held_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decide_by timestamptz NOT NULL,
    escalated_for interval NOT NULL CHECK (escalated_for > '0'),
    delete_at timestamptz NOT NULL,
    collect_for interval,
    state text NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'escalated', 'approved', 'rejected', 'expired')),
    version integer NOT NULL DEFAULT 0,
    edition integer NOT NULL DEFAULT 0,
    corrected bytea,
    claimed_by text,
    claimed_until timestamptz,
    decided_at timestamptz,
    reason text
);
CREATE INDEX held_waiting ON isthmus.held (class, site, held_at, id) WHERE state IN ('held', 'escalated');
CREATE INDEX held_until ON isthmus.held (class, site, delete_at);
CREATE TABLE isthmus.review_votes (
    id text NOT NULL REFERENCES isthmus.held ON DELETE CASCADE,
    edition integer NOT NULL,
    by text NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (id, edition, by)
);
CREATE TABLE isthmus.review_acts (
    id text NOT NULL REFERENCES isthmus.held ON DELETE CASCADE,
    version integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    act text NOT NULL,
    by text NOT NULL,
    reason text NOT NULL,
    note bytea,
    PRIMARY KEY (id, version)
);
CREATE TABLE isthmus.reviewer_keys (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    id text NOT NULL UNIQUE GENERATED ALWAYS AS (substr(encode(digest, 'hex'), 1, 12)) STORED,
    reviewer text NOT NULL CHECK (reviewer ~ '^[a-z0-9][a-z0-9._@+-]{0,119}$'),
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    workloads text[] CHECK (cardinality(workloads) > 0),
    senior boolean NOT NULL DEFAULT false,
    issued_at timestamptz NOT NULL DEFAULT now(),
    issued_by text NOT NULL DEFAULT session_user,
    not_after timestamptz,
    revoked_at timestamptz
);

CREATE FUNCTION isthmus.review_act(
    the_id text, the_act text, who text, who_else text[], is_senior boolean, known_version integer,
    the_reason text, the_note bytea, correction bytea, vote bytea, claim_s integer,
    OUT outcome text, OUT state text, OUT version integer, OUT edition integer
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    h isthmus.held;
    at timestamptz;
    votes integer;
BEGIN
    SELECT * INTO h FROM isthmus.held WHERE id = the_id FOR UPDATE;
    at := clock_timestamp();  -- after the wait for whoever was first
    outcome := CASE
        WHEN h.id IS NULL THEN 'unknown'
        WHEN h.state NOT IN ('held', 'escalated') THEN 'decided'
        WHEN h.decide_by <= at THEN 'overdue'
        WHEN h.not_by && array_append(who_else, who) THEN 'own'
        WHEN h.state = 'escalated' AND NOT is_senior THEN 'not_senior'
        WHEN h.claimed_until > at AND h.claimed_by <> who THEN 'claimed'
        WHEN h.version <> known_version THEN 'changed'
        WHEN the_act = 'claim' THEN 'done'
        WHEN h.claimed_by IS DISTINCT FROM who OR h.claimed_until <= at THEN 'unclaimed'
        WHEN the_act = 'escalate' AND h.state = 'escalated' THEN 'escalated'
        WHEN the_act = 'approve' AND EXISTS (
            SELECT FROM isthmus.review_votes v WHERE (v.id, v.edition, v.by) = (h.id, h.edition, who)
        ) THEN 'already'
        ELSE 'done' END;
    state := h.state; version := h.version; edition := h.edition;
    IF outcome <> 'done' THEN RETURN; END IF;
    version := h.version + 1;
    IF the_act = 'claim' THEN
        h.claimed_by := who;
        h.claimed_until := at + make_interval(secs => claim_s);
    ELSE
        h.claimed_by := NULL;
        h.claimed_until := NULL;
    END IF;
    IF the_act IN ('approve', 'correct') THEN
        IF the_act = 'correct' THEN
            edition := h.edition + 1;
            h.corrected := correction;
        END IF;
        INSERT INTO isthmus.review_votes VALUES (h.id, review_act.edition, who, vote);
        SELECT count(*) INTO votes FROM isthmus.review_votes v 
            WHERE (v.id, v.edition) = (h.id, review_act.edition);
        IF votes >= h.approvers THEN state := 'approved'; END IF;
    ELSIF the_act = 'reject' THEN
        state := 'rejected';
    ELSIF the_act = 'escalate' THEN
        state := 'escalated';
        edition := h.edition + 1;
        h.decide_by := at + h.escalated_for;
    ELSIF the_act NOT IN ('claim', 'release') THEN
        RAISE EXCEPTION 'there is no act of this name';
    END IF;
    UPDATE isthmus.held SET
        state = review_act.state, version = review_act.version, edition = review_act.edition,
        corrected = h.corrected, claimed_by = h.claimed_by, claimed_until = h.claimed_until,
        decide_by = h.decide_by, reason = the_reason,
        decided_at = CASE WHEN review_act.state IN ('approved', 'rejected') THEN at END,
        delete_at = CASE WHEN review_act.state IN ('approved', 'rejected')
            THEN least(h.delete_at, at + h.collect_for) ELSE h.delete_at END
    WHERE id = h.id;
    INSERT INTO isthmus.review_acts VALUES (h.id, review_act.version, at, the_act, who, the_reason, the_note);
END $$;

CREATE FUNCTION isthmus.review_overdue(the_class text, the_site text, most integer)
RETURNS TABLE (id text, workload text, state text, version integer, edition integer, content bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE h isthmus.held;
BEGIN
    FOR h IN SELECT * FROM isthmus.held o
        WHERE (o.class, o.site) = (the_class, the_site) AND o.state IN ('held', 'escalated')
            AND o.decide_by <= clock_timestamp()
        ORDER BY o.held_at, o.id LIMIT most FOR UPDATE SKIP LOCKED
    LOOP
        IF h.state = 'held' THEN
            h.state := 'escalated';
            h.edition := h.edition + 1;
            h.decide_by := clock_timestamp() + h.escalated_for;  -- whole, however late it is noticed
        ELSE
            h.state := 'expired';
            h.decided_at := clock_timestamp();
            h.delete_at := least(h.delete_at, h.decided_at + h.collect_for);
        END IF;
        h.version := h.version + 1;
        UPDATE isthmus.held o SET state = h.state, version = h.version, edition = h.edition,
            decide_by = h.decide_by, decided_at = h.decided_at, delete_at = h.delete_at,
            claimed_by = NULL, claimed_until = NULL, reason = 'deadline'
        WHERE o.id = h.id;
        INSERT INTO isthmus.review_acts VALUES (
            h.id, h.version, clock_timestamp(), CASE h.state WHEN 'escalated' THEN 'escalate' ELSE 'expire' END,
            '', 'deadline', NULL);
        id := h.id; workload := h.workload; state := h.state; version := h.version; edition := h.edition;
        content := coalesce(h.corrected, h.content);
        RETURN NEXT;
    END LOOP;
END $$;

CREATE FUNCTION isthmus.review_sweep(the_class text, the_site text, kept text[], most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (
        DELETE FROM isthmus.held WHERE id IN (
            SELECT id FROM isthmus.held
            WHERE (class, site) = (the_class, the_site) AND delete_at <= clock_timestamp()
                AND subject <> ALL (kept)
            ORDER BY delete_at LIMIT most FOR UPDATE SKIP LOCKED
        ) RETURNING 1
    ) SELECT count(*) FROM gone
$$;

REVOKE ALL ON FUNCTION isthmus.review_act, isthmus.review_overdue, isthmus.review_sweep FROM PUBLIC;
"""

DELIVERED_STEP = """
ALTER TABLE isthmus.held ADD COLUMN delivered boolean NOT NULL DEFAULT false;

CREATE OR REPLACE FUNCTION isthmus.review_overdue(the_class text, the_site text, most integer)
RETURNS TABLE (id text, workload text, state text, version integer, edition integer, content bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE h isthmus.held;
BEGIN
    FOR h IN SELECT * FROM isthmus.held o
        WHERE (o.class, o.site) = (the_class, the_site) AND o.state IN ('held', 'escalated')
            AND o.decide_by <= clock_timestamp()
        ORDER BY o.held_at, o.id LIMIT most FOR UPDATE SKIP LOCKED
    LOOP
        IF h.state = 'held' AND NOT h.delivered THEN
            h.state := 'escalated';
            h.edition := h.edition + 1;
            h.decide_by := clock_timestamp() + h.escalated_for;  -- whole, however late it is noticed
        ELSE
            h.state := 'expired';
            h.decided_at := clock_timestamp();
            h.delete_at := least(h.delete_at, h.decided_at + h.collect_for);
        END IF;
        h.version := h.version + 1;
        UPDATE isthmus.held o SET state = h.state, version = h.version, edition = h.edition,
            decide_by = h.decide_by, decided_at = h.decided_at, delete_at = h.delete_at,
            claimed_by = NULL, claimed_until = NULL, reason = 'deadline'
        WHERE o.id = h.id;
        INSERT INTO isthmus.review_acts VALUES (
            h.id, h.version, clock_timestamp(), CASE h.state WHEN 'escalated' THEN 'escalate' ELSE 'expire' END,
            '', 'deadline', NULL);
        id := h.id; workload := h.workload; state := h.state; version := h.version; edition := h.edition;
        content := coalesce(h.corrected, h.content);
        RETURN NEXT;
    END LOOP;
END $$;
"""
"""Answers that people look at after delivery. They are not escalated."""

GATEWAY_GRANTS = """
GRANT SELECT ON isthmus.held, isthmus.review_votes, isthmus.review_acts TO {role};
GRANT INSERT (
    id, class, site, workload, domain, task, subject, not_by, why, score, approvers, content, decide_by, escalated_for,
    delete_at, collect_for, delivered
) ON isthmus.held TO {role};
"""
"""Insert and read. The initial state of an answer is the table's default."""

REVIEWS_GRANTS = """
GRANT USAGE ON SCHEMA isthmus TO {role};
GRANT SELECT ON isthmus.migrations, isthmus.held, isthmus.review_votes, isthmus.review_acts, isthmus.reviewer_keys
    TO {role};
GRANT EXECUTE ON FUNCTION isthmus.review_act, isthmus.review_overdue, isthmus.review_sweep TO {role};
"""
"""Read, and change rows only through the functions."""

WAITING_AGES = """
SELECT workload, extract(epoch FROM isthmus.now() - min(held_at))::double precision AS oldest_s,
    greatest(extract(epoch FROM isthmus.now() - min(first_due)), 0)::double precision AS overdue_s
FROM isthmus.held
WHERE (class, site) = ($1, $2) AND state IN ('held', 'escalated') AND NOT delivered AND NOT planted
GROUP BY workload
"""
"""For each workload whose answers wait: the age of the oldest, and how long the first deadline of one is past, both in
seconds. Planted answers are none of its own, and a delivered answer lets nobody wait.
"""
