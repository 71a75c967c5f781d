"""SQL of webhooks: an application is told that an answer of its workload is decided, or that a case is answered.

The gateway states with a held answer which webhook is told of it. A trigger writes the event into the outbox in the
transaction of the decision, with a delivery to that webhook. An event has an id, a status and the workload's name.
"""

STEP = """
ALTER TABLE isthmus.held ADD COLUMN webhook text CHECK (webhook ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$');
ALTER TABLE isthmus.outbox
    DROP CONSTRAINT outbox_kind_check,
    ADD CONSTRAINT outbox_kind_check CHECK (kind IN ('reminder', 'escalation', 'expiry',
        'review.decided', 'review.expired', 'case.answered', 'case.expired')),
    ALTER COLUMN domain DROP NOT NULL,
    ALTER COLUMN addressee DROP NOT NULL,
    ADD COLUMN item text CHECK (item ~ '^[0-9a-f]{32}$'),
    ADD COLUMN status text,
    ADD COLUMN workload text,
    ADD CONSTRAINT outbox_is_one CHECK (CASE WHEN item IS NULL THEN domain IS NOT NULL AND addressee IS NOT NULL
        ELSE status IS NOT NULL AND workload IS NOT NULL END);

CREATE FUNCTION isthmus.webhook_tell() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    event uuid := gen_random_uuid();
    at timestamptz := isthmus.now();
    is_case boolean := NEW.task = 'case';
BEGIN
    INSERT INTO isthmus.outbox (id, class, site, kind, item, status, workload, answers, oldest_at, at, routed_at)
    VALUES (
        event, NEW.class, NEW.site,
        CASE WHEN NEW.state = 'expired' AND is_case THEN 'case.expired' WHEN NEW.state = 'expired' THEN 'review.expired'
            WHEN is_case THEN 'case.answered' ELSE 'review.decided' END,
        NEW.id,
        CASE WHEN NEW.state = 'expired' THEN 'expired'
            WHEN is_case THEN CASE NEW.state WHEN 'approved' THEN 'answered' ELSE 'closed' END
            WHEN NEW.state = 'approved' AND NEW.corrected IS NOT NULL THEN 'corrected' ELSE NEW.state END,
        NEW.workload, 1, NEW.held_at, at, at);
    INSERT INTO isthmus.outbox_deliveries (id, target) VALUES (event, NEW.webhook);
    RETURN NULL;
END $$;
CREATE TRIGGER webhook_tell AFTER UPDATE OF state ON isthmus.held FOR EACH ROW
    WHEN (NEW.webhook IS NOT NULL AND NOT NEW.delivered AND NOT NEW.planted
        AND OLD.state IN ('held', 'escalated') AND NEW.state IN ('approved', 'rejected', 'expired'))
    EXECUTE FUNCTION isthmus.webhook_tell();
REVOKE ALL ON FUNCTION isthmus.webhook_tell FROM PUBLIC;
"""

GATEWAY_GRANTS = """
GRANT INSERT (webhook) ON isthmus.held TO {role};
"""
