"""SQL of outcomes of releases: what each version of a model did for each unit, in sums by day that only grow.

Gateways add through a function, which takes each batch of a copy once. They can neither read nor lower a sum.
"""

STEP = """
CREATE TABLE isthmus.release_outcomes (
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    site text NOT NULL,
    workload text NOT NULL CHECK (workload <> ''),
    model text NOT NULL CHECK (model <> ''),
    release text NOT NULL CHECK (release <> ''),
    variant text NOT NULL CHECK (variant IN ('in-use', 'canary', 'shadow')),
    unit bytea NOT NULL CHECK (octet_length(unit) = 8),
    day date NOT NULL,
    requests bigint NOT NULL CHECK (requests >= 0),
    failed bigint NOT NULL CHECK (failed >= 0),
    guard_refused bigint NOT NULL CHECK (guard_refused >= 0),
    latency_ms bigint NOT NULL CHECK (latency_ms >= 0),
    streams bigint NOT NULL CHECK (streams >= 0),
    first_token_ms bigint NOT NULL CHECK (first_token_ms >= 0),
    output_tokens bigint NOT NULL CHECK (output_tokens >= 0),
    scored bigint NOT NULL CHECK (scored >= 0),
    score double precision NOT NULL CHECK (score >= 0 AND score <= scored),
    judged bigint NOT NULL CHECK (judged >= 0),
    judged_score double precision NOT NULL CHECK (judged_score >= 0 AND judged_score <= judged),
    CHECK (failed + guard_refused <= requests),
    PRIMARY KEY (class, site, workload, model, release, variant, unit, day)
);
CREATE INDEX release_outcomes_age ON isthmus.release_outcomes (day);
CREATE TABLE isthmus.release_outcome_batches (
    copy uuid PRIMARY KEY,
    batch bigint NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION isthmus.release_outcomes_add(
    the_copy uuid, the_batch bigint, the_class text, the_site text, workloads text[], models text[],
    releases text[], variants text[], units bytea[], some_requests bigint[], some_failed bigint[],
    some_guard_refused bigint[], some_latency_ms bigint[], some_streams bigint[], some_first_token_ms bigint[],
    some_output_tokens bigint[], some_scored bigint[], some_score double precision[], some_judged bigint[],
    some_judged_score double precision[], OUT is_new boolean
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO isthmus.release_outcome_batches AS b (copy, batch) VALUES (the_copy, the_batch)
        ON CONFLICT (copy) DO UPDATE SET batch = excluded.batch, added_at = clock_timestamp()
        WHERE b.batch < excluded.batch;
    is_new := FOUND;
    IF NOT is_new THEN RETURN; END IF;
    INSERT INTO isthmus.release_outcomes AS o
        SELECT the_class, the_site, u.workload, u.model, u.release, u.variant, u.unit,
            (clock_timestamp() AT TIME ZONE 'UTC')::date, u.requests, u.failed, u.guard_refused, u.latency_ms,
            u.streams, u.first_token_ms, u.output_tokens, u.scored, u.score, u.judged, u.judged_score
        FROM unnest(workloads, models, releases, variants, units, some_requests, some_failed, some_guard_refused,
                some_latency_ms, some_streams, some_first_token_ms, some_output_tokens, some_scored, some_score,
                some_judged, some_judged_score)
            AS u (workload, model, release, variant, unit, requests, failed, guard_refused, latency_ms, streams,
                first_token_ms, output_tokens, scored, score, judged, judged_score)
    ON CONFLICT (class, site, workload, model, release, variant, unit, day) DO UPDATE SET
        requests = o.requests + excluded.requests,
        failed = o.failed + excluded.failed,
        guard_refused = o.guard_refused + excluded.guard_refused,
        latency_ms = o.latency_ms + excluded.latency_ms,
        streams = o.streams + excluded.streams,
        first_token_ms = o.first_token_ms + excluded.first_token_ms,
        output_tokens = o.output_tokens + excluded.output_tokens,
        scored = o.scored + excluded.scored,
        score = o.score + excluded.score,
        judged = o.judged + excluded.judged,
        judged_score = o.judged_score + excluded.judged_score;
END $$;
CREATE FUNCTION isthmus.release_outcomes_expire() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM isthmus.release_outcomes WHERE day < (clock_timestamp() AT TIME ZONE 'UTC')::date - 90;
    DELETE FROM isthmus.release_outcome_batches WHERE added_at < clock_timestamp() - interval '90 days';
$$;
REVOKE ALL ON FUNCTION isthmus.release_outcomes_add, isthmus.release_outcomes_expire FROM PUBLIC;
"""
"""`unit`: a keyed hash of a person or conversation. `streams`: the answers that `first_token_ms` adds up.

`latency_ms`, `output_tokens`: of answered requests, which are `requests - failed - guard_refused`.
"""

GATEWAY_GRANTS = """
GRANT EXECUTE ON FUNCTION isthmus.release_outcomes_add, isthmus.release_outcomes_expire TO {role};
"""

OPERATORS_GRANTS = """
GRANT SELECT ON isthmus.release_outcomes TO {role};
"""
