"""SQL tables of the usage ledger: requests, sums by day, the last seal that was loaded, and closed months."""

STEP = """
CREATE TABLE isthmus.usage_seals (
    class text NOT NULL,
    site text NOT NULL,
    seal bigint NOT NULL,
    hash text NOT NULL,
    sealed_at timestamptz,
    loaded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (class, site)
);
CREATE TABLE isthmus.usage_requests (
    class text NOT NULL,
    site text NOT NULL,
    id text NOT NULL,
    at timestamptz NOT NULL,
    team text NOT NULL,
    workload text NOT NULL,
    person text NOT NULL,
    model text NOT NULL,
    endpoint text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('open', 'answered', 'failed', 'refused', 'unfinished')),
    attempt bigint NOT NULL,
    writer text NOT NULL,
    settled_by text NOT NULL,
    prompt_tokens bigint,
    cached_tokens bigint,
    completion_tokens bigint,
    gpu_seconds numeric,
    price text,
    usd numeric,
    PRIMARY KEY (class, site, id)
);
CREATE INDEX usage_requests_open ON isthmus.usage_requests (class, site) WHERE outcome = 'open';
CREATE INDEX usage_requests_age ON isthmus.usage_requests (class, site, at);
CREATE TABLE isthmus.usage_days (
    class text NOT NULL,
    site text NOT NULL,
    day date NOT NULL,
    team text NOT NULL,
    workload text NOT NULL,
    person text NOT NULL,
    model text NOT NULL,
    endpoint text NOT NULL,
    requests bigint NOT NULL CHECK (requests >= 0),
    failed bigint NOT NULL CHECK (failed >= 0),
    unfinished bigint NOT NULL CHECK (unfinished >= 0),
    prompt_tokens bigint NOT NULL CHECK (prompt_tokens >= 0),
    cached_tokens bigint NOT NULL CHECK (cached_tokens >= 0),
    completion_tokens bigint NOT NULL CHECK (completion_tokens >= 0),
    gpu_seconds numeric NOT NULL CHECK (gpu_seconds >= 0),
    usd numeric NOT NULL CHECK (usd >= 0),
    unpriced bigint NOT NULL CHECK (unpriced >= 0),
    PRIMARY KEY (class, site, day, team, workload, person, model, endpoint)
);
CREATE TABLE isthmus.usage_closed (
    class text NOT NULL,
    site text NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    seal bigint NOT NULL,
    digest text NOT NULL,
    figures text NOT NULL,
    closed_at timestamptz NOT NULL DEFAULT now(),
    closed_by text NOT NULL DEFAULT session_user,
    PRIMARY KEY (class, site, month)
);
"""
"""Sums change in the transaction that changes rows and the last seal. `digest` is the SHA-256 of `figures`."""

HOURS_STEP = """
CREATE TABLE isthmus.usage_hours (
    class text NOT NULL,
    site text NOT NULL,
    hour timestamptz NOT NULL,
    workload text NOT NULL,
    requests bigint NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (class, site, hour, workload)
);
INSERT INTO isthmus.usage_hours
    SELECT class, site, date_trunc('hour', at, 'UTC'), workload, count(*) FROM isthmus.usage_requests
    WHERE outcome = 'answered' GROUP BY 1, 2, 3, 4;
"""
"""Answered requests by hour. They change with the rows, as the sums by day do, and are deleted with them."""

AGE_STEP = """
DROP INDEX isthmus.usage_requests_age;
CREATE INDEX usage_requests_age ON isthmus.usage_requests (at, class, site);
"""
"""Its class and site come last: a planner without statistics took the old index to find requests by id."""

CACHED_STEP = """
ALTER TABLE isthmus.usage_days
    ADD COLUMN full_price_cached_tokens bigint NOT NULL DEFAULT 0 CHECK (full_price_cached_tokens >= 0);
UPDATE isthmus.usage_days AS d SET full_price_cached_tokens = r.tokens FROM (
    SELECT class, site, (at AT TIME ZONE 'UTC')::date AS day, team, workload, person, model, endpoint,
        sum(least(cached_tokens, coalesce(prompt_tokens, 0))) AS tokens
    FROM isthmus.usage_requests
    WHERE cached_tokens > 0 AND usd IS NOT NULL AND position('"usd_per_million_tokens": {' IN price) > 0
        AND position('"cached"' IN price) = 0
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
) AS r WHERE (d.class, d.site, d.day, d.team, d.workload, d.person, d.model, d.endpoint)
    = (r.class, r.site, r.day, r.team, r.workload, r.person, r.model, r.endpoint);
"""
"""Cached tokens that cost as much as others. The rows that are loaded already have the rule of `edge.usage.rows`."""

EVALUATIONS_STEP = """
ALTER TABLE isthmus.usage_requests ADD COLUMN purpose text NOT NULL DEFAULT '';
ALTER TABLE isthmus.usage_days ADD COLUMN purpose text NOT NULL DEFAULT '', DROP CONSTRAINT usage_days_pkey,
    ADD PRIMARY KEY (class, site, day, team, workload, person, model, endpoint, purpose);
"""
"""Evaluations have sums of their own. Those from before are not in the ledger."""

USAGE_GRANTS = """
GRANT USAGE ON SCHEMA isthmus TO {role};
GRANT SELECT ON isthmus.migrations TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON isthmus.usage_requests, isthmus.usage_days, isthmus.usage_hours
    TO {role};
GRANT SELECT, INSERT, UPDATE ON isthmus.usage_seals TO {role};
GRANT SELECT, INSERT ON isthmus.usage_closed TO {role};
"""
"""Load and close. Nobody may change a closed month."""

USAGE_READERS_GRANTS = """
GRANT USAGE ON SCHEMA isthmus TO {role};
GRANT SELECT ON isthmus.migrations, isthmus.usage_days, isthmus.usage_hours, isthmus.usage_seals,
    isthmus.usage_closed TO {role};
"""
"""Read sums by day and hour. No request is readable."""
