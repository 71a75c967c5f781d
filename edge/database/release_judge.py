"""SQL of judged answers: how many a release had judged on each day, by which rubric, and how many got no grade.

Gateways take each answer through a function that keeps the limit of the day for all copies together. They can neither
read nor lower a count. The scores are in the outcomes of the release.
"""

STEP = """
CREATE TABLE isthmus.release_judge_days (
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    site text NOT NULL,
    workload text NOT NULL CHECK (workload <> ''),
    model text NOT NULL CHECK (model <> ''),
    release text NOT NULL CHECK (release <> ''),
    day date NOT NULL,
    rubric text NOT NULL CHECK (rubric ~ '^sha256:[0-9a-f]{64}$'),
    asked bigint NOT NULL CHECK (asked > 0),
    failed bigint NOT NULL DEFAULT 0 CHECK (failed >= 0),
    ungraded bigint NOT NULL DEFAULT 0 CHECK (ungraded >= 0),
    CHECK (failed + ungraded <= asked),
    PRIMARY KEY (class, site, workload, model, release, day, rubric)
);
CREATE INDEX release_judge_days_age ON isthmus.release_judge_days (day);

CREATE FUNCTION isthmus.release_judge_take(
    the_class text, the_site text, the_workload text, the_model text, the_release text, the_rubric text,
    the_limit bigint
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE today date;
BEGIN
    PERFORM pg_advisory_xact_lock(4715925,
        hashtext(concat_ws('/', the_class, the_site, the_workload, the_model, the_release)));
    today := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    IF (SELECT coalesce(sum(d.asked), 0) FROM isthmus.release_judge_days d
            WHERE (d.class, d.site, d.workload, d.model, d.release, d.day)
                = (the_class, the_site, the_workload, the_model, the_release, today)) >= the_limit THEN
        RETURN false;
    END IF;
    INSERT INTO isthmus.release_judge_days AS d (class, site, workload, model, release, day, rubric, asked)
        VALUES (the_class, the_site, the_workload, the_model, the_release, today, the_rubric, 1)
        ON CONFLICT (class, site, workload, model, release, day, rubric) DO UPDATE SET asked = d.asked + 1;
    RETURN true;
END $$;
CREATE FUNCTION isthmus.release_judge_fail(
    the_class text, the_site text, the_workload text, the_model text, the_release text, the_rubric text,
    the_outcome text
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE isthmus.release_judge_days d SET
        failed = d.failed + (the_outcome = 'failed')::integer,
        ungraded = d.ungraded + (the_outcome = 'ungraded')::integer
    WHERE (d.class, d.site, d.workload, d.model, d.release, d.rubric)
            = (the_class, the_site, the_workload, the_model, the_release, the_rubric)
        AND d.failed + d.ungraded < d.asked
        AND d.day = (SELECT max(l.day) FROM isthmus.release_judge_days l
            WHERE (l.class, l.site, l.workload, l.model, l.release, l.rubric)
                = (the_class, the_site, the_workload, the_model, the_release, the_rubric));
$$;
REVOKE ALL ON FUNCTION isthmus.release_judge_take, isthmus.release_judge_fail FROM PUBLIC;

CREATE FUNCTION isthmus.release_outcomes_sweep(most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    oldest date := (clock_timestamp() AT TIME ZONE 'UTC')::date - 90;
    deleted bigint;
BEGIN
    DELETE FROM isthmus.release_outcomes o WHERE o.ctid = ANY (ARRAY(
        SELECT e.ctid FROM isthmus.release_outcomes e WHERE e.day < oldest ORDER BY e.day LIMIT most
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    DELETE FROM isthmus.release_outcome_batches WHERE added_at < clock_timestamp() - interval '90 days';
    DELETE FROM isthmus.release_judge_days WHERE day < oldest;
    RETURN deleted;
END $$;
REVOKE ALL ON FUNCTION isthmus.release_outcomes_sweep FROM PUBLIC;
CREATE OR REPLACE FUNCTION isthmus.release_outcomes_expire() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT isthmus.release_outcomes_sweep(2000);
$$;
"""
"""`asked`: answers that were taken to be judged, those that failed or got no grade too. `release_outcomes_sweep`
deletes at most so many old outcomes and returns how many it deleted; `release_outcomes_expire` is what older gateways
call.
"""

GATEWAY_GRANTS = """
GRANT EXECUTE ON FUNCTION isthmus.release_judge_take, isthmus.release_judge_fail, isthmus.release_outcomes_sweep
    TO {role};
"""

OPERATORS_GRANTS = """
GRANT SELECT ON isthmus.release_judge_days TO {role};
"""
