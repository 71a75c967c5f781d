"""SQL of stopped canaries. A gateway may add a row and nothing else, so no restart and no release of the platform lifts
a stop: a canary comes back under another name of its release.
"""

STEP = """
CREATE TABLE isthmus.canary_stops (
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    site text NOT NULL,
    workload text NOT NULL CHECK (workload <> ''),
    model text NOT NULL CHECK (model <> ''),
    release text NOT NULL CHECK (release <> ''),
    gateway text NOT NULL,
    answered bigint NOT NULL CHECK (answered >= 0),
    failed bigint NOT NULL CHECK (failed BETWEEN 0 AND answered),
    stopped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (class, site, workload, model, release)
);
"""
"""`answered`, `failed`: requests of the canary at the copy of the gateway that stopped it."""

EVALUATION_STEP = """
ALTER TABLE isthmus.keys ADD COLUMN evaluation boolean NOT NULL DEFAULT false;
"""
"""Keys of evaluations."""

GATEWAY_GRANTS = """
GRANT SELECT ON isthmus.canary_stops TO {role};
GRANT INSERT (class, site, workload, model, release, gateway, answered, failed) ON isthmus.canary_stops TO {role};
"""
