"""SQL of transit data: files, batches with their leased lines, and answers kept for a repeated request.

Contents are encrypted before they come here (`edge.files.cipher`). A row names its owner by the id of a key, the name
of a certificate or a person's pseudonym. All times come from the database's clock.

    validating ─▶ in_progress ─▶ finalizing ─▶ completed | expired | failed
         └──────────────┴──▶ cancelling ─▶ cancelled

A line belongs to the copy that leased it, until `leased_until`. Its result is stored once: only by the copy whose lease
it still is.
"""

STEP = """
CREATE TABLE isthmus.files (
    id text PRIMARY KEY CHECK (id ~ '^file-[0-9a-f]{32}$'),
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    site text NOT NULL,
    owner text NOT NULL CHECK (owner <> ''),
    purpose text NOT NULL CHECK (purpose ~ '^[a-z_]{1,40}$'),
    name bytea NOT NULL,
    bytes bigint NOT NULL CHECK (bytes >= 0),
    complete boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    delete_at timestamptz NOT NULL
);
CREATE INDEX files_of_an_owner ON isthmus.files (class, site, owner, created_at, id);
CREATE INDEX files_until ON isthmus.files (delete_at);
CREATE TABLE isthmus.file_pieces (
    file text NOT NULL REFERENCES isthmus.files ON DELETE CASCADE,
    number integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (file, number)
);
CREATE TABLE isthmus.batches (
    id text PRIMARY KEY CHECK (id ~ '^batch_[0-9a-f]{32}$'),
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    site text NOT NULL,
    owner text NOT NULL CHECK (owner <> ''),
    endpoint text NOT NULL,
    input_file text NOT NULL,
    status text NOT NULL DEFAULT 'validating' CHECK (status IN ('validating', 'in_progress', 'finalizing',
        'completed', 'failed', 'cancelling', 'cancelled', 'expired')),
    ending text NOT NULL DEFAULT 'completed' CHECK (ending IN ('completed', 'failed', 'cancelled', 'expired')),
    reason text,
    identity bytea NOT NULL,
    metadata bytea NOT NULL,
    granted_until timestamptz,
    models text[] NOT NULL DEFAULT '{}',
    total integer NOT NULL DEFAULT 0,
    completed integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    output_file text,
    error_file text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    in_progress_at timestamptz,
    finalizing_at timestamptz,
    cancelling_at timestamptz,
    ended_at timestamptz,
    expires_at timestamptz NOT NULL,
    delete_at timestamptz NOT NULL,
    leased_by text,
    leased_until timestamptz
);
CREATE INDEX batches_of_an_owner ON isthmus.batches (class, site, owner, created_at, id);
CREATE INDEX batches_open ON isthmus.batches (class, site, created_at)
    WHERE status IN ('validating', 'in_progress', 'finalizing', 'cancelling');
CREATE INDEX batches_until ON isthmus.batches (delete_at);
CREATE TABLE isthmus.batch_lines (
    batch text NOT NULL REFERENCES isthmus.batches ON DELETE CASCADE,
    number integer NOT NULL,
    model text NOT NULL,
    request bytea,
    result bytea,
    succeeded boolean,
    attempts integer NOT NULL DEFAULT 0,
    leased_by text,
    leased_until timestamptz,
    PRIMARY KEY (batch, number),
    CHECK ((result IS NULL) = (succeeded IS NULL))
);
CREATE INDEX batch_lines_open ON isthmus.batch_lines (batch, model, number) WHERE result IS NULL;
CREATE TABLE isthmus.repeatable_answers (
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    site text NOT NULL,
    owner text NOT NULL CHECK (owner <> ''),
    key bytea NOT NULL CHECK (octet_length(key) = 32),
    request bytea NOT NULL CHECK (octet_length(request) = 32),
    run text NOT NULL,
    running_until timestamptz NOT NULL,
    answer bytea,
    delete_at timestamptz NOT NULL,
    PRIMARY KEY (class, site, owner, key)
);
CREATE INDEX repeatable_answers_until ON isthmus.repeatable_answers (delete_at);
"""

GATEWAY_GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON isthmus.files, isthmus.file_pieces, isthmus.batches, isthmus.batch_lines,
    isthmus.repeatable_answers TO {role};
"""
