"""SQL of people's requests: who asked what, so that feedback and cases come from the request's own person."""

STEP = """
CREATE TABLE isthmus.asked (
    id text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{32}$'),
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    site text NOT NULL,
    workload text NOT NULL CHECK (workload <> ''),
    model text NOT NULL,
    by text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    delete_at timestamptz NOT NULL
);
CREATE INDEX asked_until ON isthmus.asked (delete_at);
CREATE TABLE isthmus.feedback (
    id text PRIMARY KEY REFERENCES isthmus.asked ON DELETE CASCADE,
    rating smallint NOT NULL CHECK (rating IN (-1, 1)),
    reason text NOT NULL CHECK (reason ~ '^[a-z0-9-]{0,40}$'),
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""
"""`by` is a pseudonym. No text of a person is stored."""
REFERENCE_STEP = """
ALTER TABLE isthmus.asked ADD COLUMN reference text CHECK (reference ~ '^[A-Za-z0-9_-]{1,128}$');
CREATE INDEX asked_reference ON isthmus.asked (by, reference) WHERE reference IS NOT NULL;
"""
"""`reference` is the application's own id of the request."""
HMACS_STEP = """
ALTER TABLE isthmus.asked
    ADD COLUMN question text CHECK (question ~ '^[0-9a-f]{64}$'),
    ADD COLUMN answers text[] NOT NULL DEFAULT '{}';
CREATE INDEX asked_by ON isthmus.asked (by, at);
"""
"""HMACs of a person's last text and of the delivered answer, as the audit records have them."""

GATEWAY_GRANTS = """
GRANT SELECT, INSERT, DELETE ON isthmus.asked TO {role};
GRANT UPDATE (answers) ON isthmus.asked TO {role};
GRANT SELECT, INSERT, UPDATE ON isthmus.feedback TO {role};
"""
