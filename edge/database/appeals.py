"""SQL of appeals: a person's case against the decision on the answer to their own request.

An appeal is a held row of its own, which begins escalated, so that seniors decide. Whoever approved, corrected or
rejected the original is among those who may not decide on it. The trigger adds them, whatever the gateway states.
"""

STEP = """
ALTER TABLE isthmus.held ADD COLUMN appeal_of text CHECK (appeal_of ~ '^[0-9a-f]{32}$');
CREATE UNIQUE INDEX held_appeals ON isthmus.held (appeal_of) WHERE appeal_of IS NOT NULL;

CREATE FUNCTION isthmus.appeal_until(h isthmus.held, within interval) RETURNS timestamptz
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN h.task <> 'case' AND NOT h.delivered
        AND (h.state IN ('rejected', 'expired') OR (h.state = 'approved' AND h.corrected IS NOT NULL))
        AND NOT EXISTS (SELECT FROM isthmus.held a WHERE a.appeal_of = h.id)
        AND least(h.decided_at + within, h.delete_at) > isthmus.now()
    THEN least(h.decided_at + within, h.delete_at) END
$$;

CREATE FUNCTION isthmus.appeal_begin() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE o isthmus.held;
BEGIN
    SELECT * INTO o FROM isthmus.held WHERE id = NEW.appeal_of FOR SHARE;
    IF o.id IS NULL OR (o.class, o.site, o.workload) IS DISTINCT FROM (NEW.class, NEW.site, NEW.workload)
        OR o.planted OR NEW.task <> 'case' OR NEW.delivered
        OR isthmus.appeal_until(o, interval '1000 years') IS NULL THEN
        RAISE EXCEPTION 'there is no decision that can be appealed';
    END IF;
    NEW.not_by := NEW.not_by
        || ARRAY(SELECT DISTINCT a.by FROM isthmus.review_acts a
            WHERE a.id = o.id AND a.act IN ('approve', 'correct', 'reject'))
        || ARRAY(SELECT DISTINCT v.identity FROM isthmus.review_voters v WHERE v.id = o.id);
    NEW.state := 'escalated';
    NEW.step := 1;
    RETURN NEW;
END $$;
CREATE TRIGGER appeal_begin BEFORE INSERT ON isthmus.held
    FOR EACH ROW WHEN (NEW.appeal_of IS NOT NULL) EXECUTE FUNCTION isthmus.appeal_begin();
REVOKE ALL ON FUNCTION isthmus.appeal_until, isthmus.appeal_begin FROM PUBLIC;
"""
"""`appeal_until` is the time until which a decision can be appealed, or null. `within`: after the decision."""

GATEWAY_GRANTS = """
GRANT INSERT (appeal_of) ON isthmus.held TO {role};
GRANT EXECUTE ON FUNCTION isthmus.appeal_until TO {role};
"""
