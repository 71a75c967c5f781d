"""SQL of stops: workloads that gateways refuse, every act on a stop, and which gateways refuse.

A stop begins with one person's act. It ends when two different people have asked for the restart within four hours and
through the same way: the review service, which knows a person by key, certificate or token, or the database, which
knows its user. They differ in name and in account, so whoever changes a name at the sign-on is still one person. A new
act `stop` on the same workload takes earlier questions for a restart back. All times come from the database's clock.
"""

STEP = """
CREATE TABLE isthmus.stops (
    id text PRIMARY KEY DEFAULT replace(gen_random_uuid()::text, '-', '') CHECK (id ~ '^[0-9a-f]{32}$'),
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    site text NOT NULL,
    workload text NOT NULL CHECK (workload <> ''),
    message text NOT NULL CHECK (length(message) <= 500),
    stopped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
CREATE UNIQUE INDEX stops_open ON isthmus.stops (class, site, workload) WHERE ended_at IS NULL;
CREATE TABLE isthmus.stop_acts (
    stop text NOT NULL REFERENCES isthmus.stops,
    number integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    act text NOT NULL CHECK (act IN ('stop', 'ask-restart', 'restart')),
    by text NOT NULL CHECK (by <> ''),
    account text,
    through text NOT NULL CHECK (through IN ('reviews', 'database')),
    reason text NOT NULL CHECK (reason ~ '^[a-z0-9-]{1,40}$'),
    PRIMARY KEY (stop, number)
);
CREATE TABLE isthmus.stop_refusing (
    stop text NOT NULL REFERENCES isthmus.stops,
    copy uuid NOT NULL,
    gateway text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (stop, copy)
);

CREATE FUNCTION isthmus.stop_begin(
    the_class text, the_site text, the_workload text, who text, the_account text, way text, the_reason text,
    the_message text, OUT outcome text, OUT id text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM pg_advisory_xact_lock(4715923, hashtext(the_class || '/' || the_site || '/' || the_workload));
    SELECT s.id INTO stop_begin.id FROM isthmus.stops s
        WHERE (s.class, s.site, s.workload) = (the_class, the_site, the_workload) AND s.ended_at IS NULL FOR UPDATE;
    outcome := 'already';
    IF stop_begin.id IS NULL THEN
        outcome := 'stopped';
        INSERT INTO isthmus.stops AS s (class, site, workload, message)
            VALUES (the_class, the_site, the_workload, the_message) RETURNING s.id INTO stop_begin.id;
    ELSIF the_message <> '' THEN
        UPDATE isthmus.stops s SET message = the_message WHERE s.id = stop_begin.id;
    END IF;
    INSERT INTO isthmus.stop_acts (stop, number, act, by, account, through, reason)
        SELECT stop_begin.id, coalesce(max(a.number), 0) + 1, 'stop', who, the_account, way, the_reason
        FROM isthmus.stop_acts a WHERE a.stop = stop_begin.id;
END $$;

CREATE FUNCTION isthmus.stop_restart(
    the_stop text, who text, the_account text, way text, the_reason text, OUT outcome text, OUT id text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    s isthmus.stops;
    last integer;
    stopped integer;
    asked integer;
    same boolean;
BEGIN
    SELECT * INTO s FROM isthmus.stops o WHERE o.id = the_stop FOR UPDATE;
    IF s.id IS NULL THEN outcome := 'unknown'; RETURN; END IF;
    stop_restart.id := s.id;
    IF s.ended_at IS NOT NULL THEN outcome := 'ended'; RETURN; END IF;
    SELECT max(a.number), max(a.number) FILTER (WHERE a.act = 'stop') INTO last, stopped
        FROM isthmus.stop_acts a WHERE a.stop = s.id;
    SELECT count(*), coalesce(bool_or(a.by = who OR a.account = the_account), false) INTO asked, same
        FROM isthmus.stop_acts a
        WHERE a.stop = s.id AND a.number > stopped AND a.act = 'ask-restart' AND a.through = way
            AND a.at > clock_timestamp() - interval '4 hours';
    IF same THEN outcome := 'second_person'; RETURN; END IF;
    outcome := CASE WHEN asked > 0 THEN 'restarted' ELSE 'asked' END;
    INSERT INTO isthmus.stop_acts (stop, number, act, by, account, through, reason)
        VALUES (s.id, last + 1, CASE outcome WHEN 'restarted' THEN 'restart' ELSE 'ask-restart' END, who, the_account,
            way, the_reason);
    IF outcome = 'restarted' THEN
        UPDATE isthmus.stops o SET ended_at = clock_timestamp() WHERE o.id = s.id;
    END IF;
END $$;

CREATE FUNCTION isthmus.stop_by_reviewer(
    the_class text, the_site text, the_workload text, who text, the_account text, the_reason text, the_message text,
    OUT outcome text, OUT id text
) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM isthmus.stop_begin(
        the_class, the_site, the_workload, who, the_account, 'reviews', the_reason, the_message)
$$;
CREATE FUNCTION isthmus.restart_by_reviewer(
    the_stop text, who text, the_account text, the_reason text, OUT outcome text, OUT id text
) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM isthmus.stop_restart(the_stop, who, the_account, 'reviews', the_reason)
$$;
CREATE FUNCTION isthmus.stop_by_operator(
    the_class text, the_site text, the_workload text, the_reason text, the_message text,
    OUT outcome text, OUT id text
) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM isthmus.stop_begin(
        the_class, the_site, the_workload, session_user::text, NULL, 'database', the_reason, the_message)
$$;
CREATE FUNCTION isthmus.restart_by_operator(
    the_stop text, the_reason text, OUT outcome text, OUT id text
) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM isthmus.stop_restart(the_stop, session_user::text, NULL, 'database', the_reason)
$$;
REVOKE ALL ON FUNCTION isthmus.stop_begin, isthmus.stop_restart, isthmus.stop_by_reviewer,
    isthmus.restart_by_reviewer, isthmus.stop_by_operator, isthmus.restart_by_operator FROM PUBLIC;
"""
"""`stop_refusing` has a row for each copy of a gateway that refuses the workload."""

GATEWAY_GRANTS = """
GRANT SELECT ON isthmus.stops, isthmus.stop_acts TO {role};
GRANT INSERT (stop, copy, gateway) ON isthmus.stop_refusing TO {role};
"""
"""Read, and say that it refuses."""

REVIEWS_GRANTS = """
GRANT SELECT ON isthmus.stops, isthmus.stop_acts, isthmus.stop_refusing TO {role};
GRANT EXECUTE ON FUNCTION isthmus.stop_by_reviewer, isthmus.restart_by_reviewer TO {role};
"""

OPERATORS_GRANTS = """
GRANT USAGE ON SCHEMA isthmus TO {role};
GRANT SELECT ON isthmus.migrations, isthmus.stops, isthmus.stop_acts, isthmus.stop_refusing TO {role};
GRANT EXECUTE ON FUNCTION isthmus.stop_by_operator, isthmus.restart_by_operator TO {role};
"""
"""For people with a database user each: what they do bears the name of their user."""
