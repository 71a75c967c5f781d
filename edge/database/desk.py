"""SQL of the review desk: who stands behind a vote, first judgements, and the indexes of its lists."""

STEP = """
CREATE TABLE isthmus.review_voters (
    id text NOT NULL REFERENCES isthmus.held ON DELETE CASCADE,
    edition integer NOT NULL,
    identity text NOT NULL CHECK (identity <> ''),
    PRIMARY KEY (id, edition, identity)
);
CREATE TABLE isthmus.review_judgements (
    id text NOT NULL REFERENCES isthmus.held ON DELETE CASCADE,
    edition integer NOT NULL,
    by text NOT NULL,
    judgement text NOT NULL CHECK (judgement IN ('right', 'wrong', 'partly', 'harmful')),
    at timestamptz NOT NULL DEFAULT isthmus.now(),
    PRIMARY KEY (id, edition, by)
);
CREATE INDEX held_due ON isthmus.held (class, site, delivered, decide_by, id)
    WHERE state IN ('held', 'escalated');
CREATE INDEX held_due_by_domain ON isthmus.held (class, site, delivered, domain, decide_by, id)
    WHERE state IN ('held', 'escalated');
CREATE INDEX held_due_by_workload ON isthmus.held (class, site, delivered, workload, decide_by, id)
    WHERE state IN ('held', 'escalated');
CREATE INDEX held_for_reason ON isthmus.held USING gin (why) WHERE state IN ('held', 'escalated');
CREATE INDEX held_claimed ON isthmus.held (class, site, claimed_by)
    WHERE claimed_by IS NOT NULL AND state IN ('held', 'escalated');
CREATE INDEX held_decided ON isthmus.held (class, site, delivered, decided_at, id)
    WHERE state IN ('approved', 'rejected', 'expired');
CREATE INDEX held_decided_by_domain ON isthmus.held (class, site, delivered, domain, decided_at, id)
    WHERE state IN ('approved', 'rejected', 'expired');
CREATE INDEX held_decided_by_workload ON isthmus.held (class, site, delivered, workload, decided_at, id)
    WHERE state IN ('approved', 'rejected', 'expired');
"""
"""`review_voters`: a person may change the name in their tokens, and is one approver nevertheless. `review_judgements`:
a reviewer's own word before the model's score is shown, or on a delivered answer."""

REVIEWS_GRANTS = """
GRANT SELECT, INSERT ON isthmus.review_voters, isthmus.review_judgements TO {role};
"""
