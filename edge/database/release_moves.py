"""SQL of releases: every move of a canary's share, and which copies of gateways follow it.

A move names its release, so that the moves of one release are a sequence: `start` gives the first of its steps, each
`next` the following one, and `abort` ends it for good. One release of a workload is under way at a time: another one
starts when it was aborted, was stopped, or serves everybody. The database enforces this order. It takes the fields of a
move from the text that the person signed. It does not verify the signature; each gateway does.
"""

STEP = """
CREATE TABLE isthmus.release_moves (
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    site text NOT NULL CHECK (site <> ''),
    workload text NOT NULL CHECK (workload <> ''),
    model text NOT NULL CHECK (model <> ''),
    release text NOT NULL CHECK (release <> ''),
    number integer NOT NULL CHECK (number > 0),
    act text NOT NULL CHECK (act IN ('start', 'next', 'abort')),
    from_percent double precision NOT NULL CHECK (from_percent BETWEEN 0 AND 100),
    to_percent double precision NOT NULL CHECK (to_percent BETWEEN 0 AND 100),
    steps double precision[] NOT NULL CHECK (
        cardinality(steps) BETWEEN 1 AND 100 AND array_position(steps, NULL) IS NULL),
    by text NOT NULL CHECK (by <> ''),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason text NOT NULL CHECK (reason ~ '^[a-z0-9-]{1,40}$'),
    signed text NOT NULL CHECK (length(signed) <= 10000),
    signature text NOT NULL CHECK (length(signature) <= 2000),
    PRIMARY KEY (class, site, workload, number)
);
CREATE TABLE isthmus.release_following (
    class text NOT NULL,
    site text NOT NULL,
    workload text NOT NULL,
    number integer NOT NULL,
    copy uuid NOT NULL,
    gateway text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (class, site, workload, number, copy),
    FOREIGN KEY (class, site, workload, number) REFERENCES isthmus.release_moves
);

CREATE FUNCTION isthmus.release_under_way(the_class text, the_site text, the_workload text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT m.release FROM (
        SELECT DISTINCT ON (o.model, o.release) o.* FROM isthmus.release_moves o
        WHERE (o.class, o.site, o.workload) = (the_class, the_site, the_workload)
        ORDER BY o.model, o.release, o.number DESC
    ) m
    WHERE m.act <> 'abort' AND m.to_percent < 100 AND NOT EXISTS (
        SELECT FROM isthmus.canary_stops s
        WHERE (s.class, s.site, s.workload, s.model, s.release) = (m.class, m.site, m.workload, m.model, m.release)
    )
    LIMIT 1
$$;

CREATE FUNCTION isthmus.release_move(the_text text, the_signature text, OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t jsonb := the_text::jsonb;
    made isthmus.release_moves;
    last isthmus.release_moves;
    stopped boolean;
BEGIN
    made.class := t->>'class'; made.site := t->>'site'; made.workload := t->>'workload';
    made.model := t->>'model'; made.release := t->>'release'; made.number := t->>'number'; made.act := t->>'act';
    made.from_percent := t->>'from'; made.to_percent := t->>'to'; made.reason := t->>'reason';
    made.steps := ARRAY(SELECT e.step::double precision
        FROM jsonb_array_elements_text(t->'steps') WITH ORDINALITY AS e (step, place)
        ORDER BY e.place);
    made.at := clock_timestamp(); made.signed := the_text; made.signature := the_signature;
    IF t->>'by' IS DISTINCT FROM session_user::text THEN outcome := 'another_person'; RETURN; END IF;
    PERFORM pg_advisory_xact_lock(4715924, hashtext(made.class || '/' || made.site || '/' || made.workload));
    IF made.number IS DISTINCT FROM (SELECT coalesce(max(m.number), 0) + 1 FROM isthmus.release_moves m
            WHERE (m.class, m.site, m.workload) = (made.class, made.site, made.workload)) THEN
        outcome := 'moved_meanwhile'; RETURN;
    END IF;
    SELECT * INTO last FROM isthmus.release_moves m
        WHERE (m.class, m.site, m.workload, m.model, m.release)
            = (made.class, made.site, made.workload, made.model, made.release)
        ORDER BY m.number DESC LIMIT 1;
    stopped := EXISTS (SELECT FROM isthmus.canary_stops s
        WHERE (s.class, s.site, s.workload, s.model, s.release)
            = (made.class, made.site, made.workload, made.model, made.release));
    outcome := CASE
        WHEN last.act = 'abort' THEN 'aborted'
        WHEN EXISTS (SELECT FROM unnest(made.steps) s WHERE NOT (s > 0 AND s <= 100)) THEN 'wrong_step'
        WHEN made.act = 'abort' AND made.to_percent = 0 AND made.from_percent = coalesce(last.to_percent, 0)
            THEN 'moved'
        WHEN made.act = 'abort' THEN 'wrong_step'
        WHEN stopped THEN 'stopped'
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
    IF outcome <> 'moved' THEN RETURN; END IF;
    made.by := session_user;
    INSERT INTO isthmus.release_moves SELECT made.*;
    IF made.act = 'abort' THEN
        INSERT INTO isthmus.canary_stops (class, site, workload, model, release, gateway, answered, failed)
            VALUES (made.class, made.site, made.workload, made.model, made.release, session_user, 0, 0)
            ON CONFLICT DO NOTHING;
    END IF;
END $$;
REVOKE ALL ON FUNCTION isthmus.release_under_way, isthmus.release_move FROM PUBLIC;
"""
"""`release_following` has a row for each copy of a gateway that has seen a move. An abort also stops the canary, so
that it stays stopped as a failing one does."""

GATEWAY_GRANTS = """
GRANT SELECT ON isthmus.release_moves TO {role};
GRANT INSERT (class, site, workload, number, copy, gateway) ON isthmus.release_following TO {role};
"""
"""Read, and say what it follows."""

OPERATORS_GRANTS = """
GRANT SELECT ON isthmus.canary_stops, isthmus.release_moves, isthmus.release_following TO {role};
GRANT EXECUTE ON FUNCTION isthmus.release_move, isthmus.release_under_way TO {role};
"""
"""For people with a database user each: what they move bears the name of their user."""
