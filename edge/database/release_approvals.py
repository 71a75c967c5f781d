"""SQL of two rules of releases: freezes, in which no release moves on, and the second person that a move may need.

Each gateway states the rules of its releases, from the platform. The function that makes moves enforces them. A move
that needs two people is proposed by one of them, and made when another one approves the same text. Gateways verify both
signatures.
"""

STEP = """
ALTER TABLE isthmus.release_moves
    ADD COLUMN approved_by text NOT NULL DEFAULT '',
    ADD COLUMN approval text NOT NULL DEFAULT '' CHECK (length(approval) <= 2000);
CREATE TABLE isthmus.release_rules (
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    site text NOT NULL CHECK (site <> ''),
    workload text NOT NULL CHECK (workload <> ''),
    model text NOT NULL CHECK (model <> ''),
    release text NOT NULL CHECK (release <> ''),
    two_people boolean NOT NULL,
    freeze_begins timestamptz[] NOT NULL,
    freeze_ends timestamptz[] NOT NULL,
    CHECK (cardinality(freeze_begins) = cardinality(freeze_ends)),
    PRIMARY KEY (class, site, workload, model, release)
);
CREATE TABLE isthmus.release_proposals (
    class text NOT NULL,
    site text NOT NULL,
    workload text NOT NULL,
    by text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    signed text NOT NULL CHECK (length(signed) <= 10000),
    signature text NOT NULL CHECK (length(signature) <= 2000),
    PRIMARY KEY (class, site, workload)
);

CREATE FUNCTION isthmus.release_rule(
    the_class text, the_site text, the_workload text, the_model text, the_release text, needs_two boolean,
    begins timestamptz[], ends timestamptz[]
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO isthmus.release_rules AS r
        VALUES (the_class, the_site, the_workload, the_model, the_release, needs_two, begins, ends)
    ON CONFLICT (class, site, workload, model, release) DO UPDATE SET
        two_people = r.two_people OR excluded.two_people,
        freeze_begins = excluded.freeze_begins,
        freeze_ends = excluded.freeze_ends;
$$;
CREATE FUNCTION isthmus.release_try(
    the_text text, the_signature text, the_mover text, the_approver text, the_approval text, the_stage text
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t jsonb := the_text::jsonb;
    made isthmus.release_moves;
    last isthmus.release_moves;
    stopped boolean;
    rule isthmus.release_rules;
    outcome text;
BEGIN
    made.class := t->>'class'; made.site := t->>'site'; made.workload := t->>'workload';
    made.model := t->>'model'; made.release := t->>'release'; made.number := t->>'number'; made.act := t->>'act';
    made.from_percent := t->>'from'; made.to_percent := t->>'to'; made.reason := t->>'reason';
    made.steps := ARRAY(SELECT e.step::double precision
        FROM jsonb_array_elements_text(t->'steps') WITH ORDINALITY AS e (step, place)
        ORDER BY e.place);
    made.at := clock_timestamp(); made.signed := the_text; made.signature := the_signature;
    made.by := the_mover; made.approved_by := the_approver; made.approval := the_approval;
    IF t->>'by' IS DISTINCT FROM the_mover THEN RETURN 'another_person'; END IF;
    PERFORM pg_advisory_xact_lock(4715924, hashtext(made.class || '/' || made.site || '/' || made.workload));
    IF made.number IS DISTINCT FROM (SELECT coalesce(max(m.number), 0) + 1 FROM isthmus.release_moves m
            WHERE (m.class, m.site, m.workload) = (made.class, made.site, made.workload)) THEN
        RETURN 'moved_meanwhile';
    END IF;
    SELECT * INTO last FROM isthmus.release_moves m
        WHERE (m.class, m.site, m.workload, m.model, m.release)
            = (made.class, made.site, made.workload, made.model, made.release)
        ORDER BY m.number DESC LIMIT 1;
    stopped := EXISTS (SELECT FROM isthmus.canary_stops s
        WHERE (s.class, s.site, s.workload, s.model, s.release)
            = (made.class, made.site, made.workload, made.model, made.release));
    SELECT * INTO rule FROM isthmus.release_rules r
        WHERE (r.class, r.site, r.workload, r.model, r.release)
            = (made.class, made.site, made.workload, made.model, made.release);
    outcome := CASE
        WHEN last.act = 'abort' THEN 'aborted'
        WHEN EXISTS (SELECT FROM unnest(made.steps) s WHERE NOT (s > 0 AND s <= 100)) THEN 'wrong_step'
        WHEN made.act = 'abort' AND made.to_percent = 0 AND made.from_percent = coalesce(last.to_percent, 0)
            THEN 'moved'
        WHEN made.act = 'abort' THEN 'wrong_step'
        WHEN stopped THEN 'stopped'
        WHEN EXISTS (SELECT FROM unnest(rule.freeze_begins, rule.freeze_ends) AS f (begins, ends)
            WHERE made.at >= f.begins AND made.at < f.ends) THEN 'frozen'
        WHEN rule.two_people AND the_stage = 'alone' THEN 'needs_approval'
        WHEN made.act = 'start' AND last.act IS NOT NULL THEN 'started_before'
        WHEN made.act = 'start'
            AND isthmus.release_under_way(made.class, made.site, made.workload) IS NOT NULL THEN 'under_way'
        WHEN made.act = 'start' AND (made.from_percent <> 0 OR made.to_percent <> made.steps[1]
            OR EXISTS (SELECT FROM generate_series(2, cardinality(made.steps)) i
                WHERE made.steps[i] <= made.steps[i - 1])) THEN 'wrong_step'
        WHEN made.act = 'start' THEN 'moved'
        WHEN last.act IS NULL THEN 'not_started'
        WHEN made.steps <> last.steps THEN 'other_steps'
        WHEN last.to_percent = last.steps[cardinality(last.steps)] THEN 'complete'
        WHEN made.act = 'next' AND made.from_percent = last.to_percent
            AND made.to_percent = last.steps[array_position(last.steps, last.to_percent) + 1] THEN 'moved'
        ELSE 'wrong_step'
    END;
    IF outcome <> 'moved' OR the_stage = 'proposed' THEN RETURN outcome; END IF;
    INSERT INTO isthmus.release_moves SELECT made.*;
    IF made.act = 'abort' THEN
        INSERT INTO isthmus.canary_stops (class, site, workload, model, release, gateway, answered, failed)
            VALUES (made.class, made.site, made.workload, made.model, made.release, the_mover, 0, 0)
            ON CONFLICT DO NOTHING;
    END IF;
    RETURN outcome;
END $$;
CREATE OR REPLACE FUNCTION isthmus.release_move(the_text text, the_signature text, OUT outcome text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT isthmus.release_try(the_text, the_signature, session_user::text, '', '', 'alone');
$$;
CREATE FUNCTION isthmus.release_propose(the_text text, the_signature text, OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE t jsonb := the_text::jsonb;
BEGIN
    IF t->>'act' = 'abort' THEN outcome := 'wrong_step'; RETURN; END IF;
    outcome := isthmus.release_try(the_text, the_signature, session_user::text, '', '', 'proposed');
    IF outcome <> 'moved' THEN RETURN; END IF;
    INSERT INTO isthmus.release_proposals (class, site, workload, by, signed, signature)
        VALUES (t->>'class', t->>'site', t->>'workload', session_user, the_text, the_signature)
        ON CONFLICT (class, site, workload) DO UPDATE SET
            by = excluded.by, at = clock_timestamp(), signed = excluded.signed, signature = excluded.signature;
    outcome := 'proposed';
END $$;
CREATE FUNCTION isthmus.release_approve(the_text text, the_approval text, OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t jsonb := the_text::jsonb;
    proposer text;
    proposed_at timestamptz;
    its_signature text;
BEGIN
    PERFORM pg_advisory_xact_lock(4715924,
        hashtext((t->>'class') || '/' || (t->>'site') || '/' || (t->>'workload')));
    SELECT p.by, p.at, p.signature INTO proposer, proposed_at, its_signature
        FROM isthmus.release_proposals p WHERE p.signed = the_text FOR UPDATE;
    outcome := CASE
        WHEN proposer IS NULL THEN 'not_proposed'
        WHEN proposer = session_user THEN 'same_person'
        WHEN proposed_at < clock_timestamp() - interval '1 day' THEN 'proposal_old'
    END;
    IF outcome IS NOT NULL THEN RETURN; END IF;
    outcome := isthmus.release_try(
        the_text, its_signature, proposer, session_user::text, the_approval, 'approved');
    IF outcome = 'moved' THEN DELETE FROM isthmus.release_proposals p WHERE p.signed = the_text; END IF;
END $$;
REVOKE ALL ON FUNCTION isthmus.release_rule, isthmus.release_try, isthmus.release_propose, isthmus.release_approve
    FROM PUBLIC;
"""
"""A rule never goes from two people to one: a release that needs two keeps it under its name. `release_try` makes a
move, or says why not; only the other functions may call it. `the_stage`: `alone`, `proposed` (it only says) or
`approved`. Each function takes the workload's lock before it locks the row of a proposal, so that they cannot deadlock.
"""

GATEWAY_GRANTS = """
GRANT EXECUTE ON FUNCTION isthmus.release_rule TO {role};
"""

OPERATORS_GRANTS = """
GRANT SELECT ON isthmus.release_rules, isthmus.release_proposals TO {role};
GRANT EXECUTE ON FUNCTION isthmus.release_propose, isthmus.release_approve TO {role};
"""
