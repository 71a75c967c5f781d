"""SQL of deadlines in working time: reminders, and a chain of escalation with several steps.

A caller computes the deadlines of a domain from `isthmus.now()` and the domain's calendar, and passes them as `plans`:

    {"payments": [{"to": "group"}, {"to": "seniors", "decide_by": "…", "remind_at": "…"}, …]}

The element at position N belongs to step N of an answer; step 0 is the group that got it first. An answer in a domain
without plans is escalated once, for the time that the gateway stated.

Functions of earlier steps go on to work, for processes of an earlier version: they call these without plans.
"""

STEP = """
ALTER TABLE isthmus.held
    ADD COLUMN step integer NOT NULL DEFAULT 0 CHECK (step >= 0),
    ADD COLUMN remind_at timestamptz,
    ALTER COLUMN held_at SET DEFAULT isthmus.now();
UPDATE isthmus.held SET step = 1 WHERE state = 'escalated';
ALTER TABLE isthmus.review_acts ALTER COLUMN at SET DEFAULT isthmus.now();
CREATE INDEX held_reminders ON isthmus.held (class, site, remind_at)
    WHERE remind_at IS NOT NULL AND state IN ('held', 'escalated');
CREATE INDEX held_deadlines ON isthmus.held (class, site, decide_by) WHERE state IN ('held', 'escalated');

CREATE FUNCTION isthmus.review_act_by_plan(
    the_id text, the_act text, who text, who_else text[], is_senior boolean, known_version integer,
    the_reason text, the_note bytea, correction bytea, vote bytea, claim_s integer, plans jsonb,
    OUT outcome text, OUT state text, OUT version integer, OUT edition integer
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    h isthmus.held;
    at timestamptz;
    next jsonb;
    votes integer;
BEGIN
    SELECT * INTO h FROM isthmus.held WHERE id = the_id FOR UPDATE;
    at := isthmus.now();  -- after the wait for whoever was first
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
        INSERT INTO isthmus.review_votes VALUES (h.id, review_act_by_plan.edition, who, vote);
        SELECT count(*) INTO votes FROM isthmus.review_votes v
            WHERE (v.id, v.edition) = (h.id, review_act_by_plan.edition);
        IF votes >= h.approvers THEN state := 'approved'; END IF;
    ELSIF the_act = 'reject' THEN
        state := 'rejected';
    ELSIF the_act = 'escalate' THEN
        state := 'escalated';
        edition := h.edition + 1;
        next := plans -> h.domain -> (h.step + 1);
        h.step := h.step + 1;
        h.decide_by := coalesce((next ->> 'decide_by')::timestamptz, at + h.escalated_for);
        h.remind_at := (next ->> 'remind_at')::timestamptz;
        IF next IS NOT NULL THEN
            h.decide_by := least(h.decide_by, h.delete_at - interval '1 day');
            PERFORM isthmus.outbox_add(
                h.class, h.site, 'escalation', h.domain, next ->> 'to', 1, h.held_at, h.decide_by);
        END IF;
    ELSIF the_act NOT IN ('claim', 'release') THEN
        RAISE EXCEPTION 'there is no act of this name';
    END IF;
    UPDATE isthmus.held SET
        state = review_act_by_plan.state, version = review_act_by_plan.version,
        edition = review_act_by_plan.edition,
        corrected = h.corrected, claimed_by = h.claimed_by, claimed_until = h.claimed_until,
        decide_by = h.decide_by, step = h.step, remind_at = h.remind_at, reason = the_reason,
        decided_at = CASE WHEN review_act_by_plan.state IN ('approved', 'rejected') THEN at END,
        delete_at = CASE WHEN review_act_by_plan.state IN ('approved', 'rejected')
            THEN least(h.delete_at, at + h.collect_for) ELSE h.delete_at END
    WHERE id = h.id;
    INSERT INTO isthmus.review_acts
        VALUES (h.id, review_act_by_plan.version, at, the_act, who, the_reason, the_note);
END $$;

CREATE OR REPLACE FUNCTION isthmus.review_act(
    the_id text, the_act text, who text, who_else text[], is_senior boolean, known_version integer,
    the_reason text, the_note bytea, correction bytea, vote bytea, claim_s integer,
    OUT outcome text, OUT state text, OUT version integer, OUT edition integer
) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM isthmus.review_act_by_plan(
        the_id, the_act, who, who_else, is_senior, known_version, the_reason, the_note, correction, vote, claim_s, NULL)
$$;

CREATE FUNCTION isthmus.review_overdue_by_plan(the_class text, the_site text, most integer, plans jsonb)
RETURNS TABLE (id text, workload text, state text, version integer, edition integer, content bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    h isthmus.held;
    at timestamptz := isthmus.now();
    next jsonb;
    planned boolean;
    event record;
    events jsonb := '[]';
BEGIN
    FOR h IN SELECT * FROM isthmus.held o
        WHERE (o.class, o.site) = (the_class, the_site) AND o.state IN ('held', 'escalated')
            AND o.decide_by <= at
        ORDER BY o.held_at, o.id LIMIT most FOR UPDATE SKIP LOCKED
    LOOP
        planned := coalesce(plans ? h.domain, false);
        next := plans -> h.domain -> (h.step + 1);
        h.remind_at := NULL;
        IF NOT h.delivered AND (CASE WHEN planned THEN next IS NOT NULL ELSE h.state = 'held' END) THEN
            IF h.state = 'held' THEN h.edition := h.edition + 1; END IF;
            h.state := 'escalated';
            h.step := h.step + 1;
            -- The time of the step is whole, however late it is noticed that the step before is over.
            h.decide_by := coalesce((next ->> 'decide_by')::timestamptz, at + h.escalated_for);
            IF next IS NOT NULL THEN
                h.decide_by := least(h.decide_by, h.delete_at - interval '1 day');
                h.remind_at := (next ->> 'remind_at')::timestamptz;
            END IF;
        ELSE
            h.state := 'expired';
            h.decided_at := at;
            h.delete_at := least(h.delete_at, h.decided_at + h.collect_for);
        END IF;
        h.version := h.version + 1;
        UPDATE isthmus.held o SET state = h.state, version = h.version, edition = h.edition,
            decide_by = h.decide_by, step = h.step, remind_at = h.remind_at, decided_at = h.decided_at,
            delete_at = h.delete_at, claimed_by = NULL, claimed_until = NULL, reason = 'deadline'
        WHERE o.id = h.id;
        INSERT INTO isthmus.review_acts VALUES (
            h.id, h.version, at, CASE h.state WHEN 'escalated' THEN 'escalate' ELSE 'expire' END,
            '', 'deadline', NULL);
        IF planned AND NOT h.delivered THEN
            events := events || jsonb_build_object(
                'kind', CASE h.state WHEN 'escalated' THEN 'escalation' ELSE 'expiry' END,
                'domain', h.domain, 'to', plans -> h.domain -> h.step ->> 'to', 'held_at', h.held_at,
                'decide_by', CASE h.state WHEN 'escalated' THEN h.decide_by END);
        END IF;
        id := h.id; workload := h.workload; state := h.state; version := h.version; edition := h.edition;
        content := coalesce(h.corrected, h.content);
        RETURN NEXT;
    END LOOP;
    FOR event IN
        SELECT e ->> 'kind' AS kind, e ->> 'domain' AS domain, coalesce(e ->> 'to', 'seniors') AS addressee,
            count(*)::integer AS answers, min((e ->> 'held_at')::timestamptz) AS oldest,
            min((e ->> 'decide_by')::timestamptz) AS deadline
        FROM jsonb_array_elements(events) e GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    LOOP
        PERFORM isthmus.outbox_add(
            the_class, the_site, event.kind, event.domain, event.addressee, event.answers, event.oldest,
            event.deadline);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION isthmus.review_overdue(the_class text, the_site text, most integer)
RETURNS TABLE (id text, workload text, state text, version integer, edition integer, content bytea)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM isthmus.review_overdue_by_plan(the_class, the_site, most, NULL)
$$;

CREATE FUNCTION isthmus.review_remind(the_class text, the_site text, most integer, plans jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at timestamptz := isthmus.now();
    event record;
    reminded bigint := 0;
BEGIN
    FOR event IN
        WITH due AS (
            UPDATE isthmus.held SET remind_at = NULL WHERE id IN (
                SELECT o.id FROM isthmus.held o
                WHERE (o.class, o.site) = (the_class, the_site) AND o.state IN ('held', 'escalated')
                    AND o.remind_at <= at AND o.decide_by > at
                ORDER BY o.remind_at LIMIT most FOR UPDATE SKIP LOCKED
            ) RETURNING domain, step, held_at, decide_by
        )
        SELECT d.domain, plans -> d.domain -> d.step ->> 'to' AS addressee, count(*)::integer AS answers,
            min(d.held_at) AS oldest, min(d.decide_by) AS deadline
        FROM due d GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
        reminded := reminded + event.answers;
        IF event.addressee IS NOT NULL THEN
            PERFORM isthmus.outbox_add(
                the_class, the_site, 'reminder', event.domain, event.addressee, event.answers, event.oldest,
                event.deadline);
        END IF;
    END LOOP;
    RETURN reminded;
END $$;

CREATE OR REPLACE FUNCTION isthmus.review_sweep(the_class text, the_site text, kept text[], most integer)
RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (
        DELETE FROM isthmus.held WHERE id IN (
            SELECT id FROM isthmus.held
            WHERE (class, site) = (the_class, the_site) AND delete_at <= isthmus.now()
                AND subject <> ALL (kept)
            ORDER BY delete_at LIMIT most FOR UPDATE SKIP LOCKED
        ) RETURNING 1
    ) SELECT count(*) FROM gone
$$;

REVOKE ALL ON FUNCTION isthmus.review_act_by_plan, isthmus.review_overdue_by_plan, isthmus.review_remind FROM PUBLIC;
"""

GATEWAY_GRANTS = """
GRANT INSERT (remind_at) ON isthmus.held TO {role};
GRANT EXECUTE ON FUNCTION isthmus.now TO {role};
"""

REVIEWS_GRANTS = """
GRANT EXECUTE ON FUNCTION isthmus.now, isthmus.review_act_by_plan, isthmus.review_overdue_by_plan,
    isthmus.review_remind TO {role};
"""
