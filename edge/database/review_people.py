"""SQL of figures by reviewer or group of reviewers, under pseudonyms of a month, and of re-identification.

A pseudonym is an HMAC under a key of the class and month, which is no row here but a file among the keys of held
answers. When it is destroyed, nobody can say who a pseudonym was, nor link it to that of another month.
"""

STEP = """
CREATE TABLE isthmus.review_people (
    class text NOT NULL,
    site text NOT NULL,
    month date NOT NULL,
    person text NOT NULL CHECK (person ~ '^[0-9a-f]{16}$'),
    name bytea NOT NULL,
    PRIMARY KEY (class, site, month, person)
);
CREATE TABLE isthmus.review_person_acts (
    class text NOT NULL,
    site text NOT NULL,
    month date NOT NULL,
    at date NOT NULL,
    person text NOT NULL CHECK (person ~ '^[0-9a-f]{16}$'),
    team text NOT NULL,
    domain text NOT NULL,
    workload text NOT NULL,
    act text NOT NULL CHECK (act IN ('approve', 'correct', 'reject', 'escalate')),
    planted boolean NOT NULL,
    detected boolean,
    took_s double precision
);
CREATE INDEX review_person_acts_month ON isthmus.review_person_acts (class, site, month, person);
CREATE TABLE isthmus.review_reidentifications (
    id text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{32}$'),
    class text NOT NULL,
    site text NOT NULL,
    month date NOT NULL,
    person text NOT NULL,
    reason text NOT NULL,
    asked_by text NOT NULL,
    asked_identity text NOT NULL,
    asked_role text NOT NULL CHECK (asked_role IN ('auditor', 'senior')),
    asked_at timestamptz NOT NULL DEFAULT isthmus.now(),
    confirmed_by text,
    confirmed_identity text,
    confirmed_role text CHECK (confirmed_role <> asked_role),
    confirmed_at timestamptz,
    CHECK (confirmed_by <> asked_by AND confirmed_identity <> asked_identity)
);
CREATE INDEX review_reidentifications_month ON isthmus.review_reidentifications (class, site, month);

CREATE FUNCTION isthmus.review_person_act(
    the_id text, the_version integer, the_month date, the_person text, the_team text, claimed_at timestamptz
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO isthmus.review_person_acts
    SELECT h.class, h.site, the_month, (a.at AT TIME ZONE 'UTC')::date, the_person, the_team, coalesce(h.domain, ''),
        h.workload, a.act, h.planted, d.detected, extract(epoch FROM a.at - claimed_at)
    FROM isthmus.review_acts a JOIN isthmus.held h USING (id)
        LEFT JOIN isthmus.planted_decisions d ON (d.id, d.version) = (a.id, a.version)
    WHERE (a.id, a.version) = (the_id, the_version) AND a.act IN ('approve', 'correct', 'reject', 'escalate')
$$;

CREATE FUNCTION isthmus.reidentify_confirm(
    the_id text, the_class text, the_site text, who text, the_identity text, roles text[]
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE r isthmus.review_reidentifications;
BEGIN
    SELECT * INTO r FROM isthmus.review_reidentifications
        WHERE (id, class, site) = (the_id, the_class, the_site) FOR UPDATE;
    IF r.id IS NULL THEN RETURN 'unknown'; END IF;
    IF r.confirmed_at IS NOT NULL THEN RETURN 'confirmed'; END IF;
    IF r.asked_by = who OR r.asked_identity = the_identity THEN RETURN 'own'; END IF;
    IF NOT (roles <@ ARRAY['auditor', 'senior'] AND array_remove(roles, r.asked_role) <> '{}') THEN
        RETURN 'same_role';
    END IF;
    UPDATE isthmus.review_reidentifications SET confirmed_by = who, confirmed_identity = the_identity,
        confirmed_role = (array_remove(roles, r.asked_role))[1], confirmed_at = isthmus.now()
    WHERE id = r.id;
    RETURN 'done';
END $$;

CREATE FUNCTION isthmus.review_people_sweep(the_class text, the_site text, days integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM isthmus.review_people
        WHERE (class, site) = (the_class, the_site)
            AND month < date_trunc('month', isthmus.now() AT TIME ZONE 'UTC')::date;
    DELETE FROM isthmus.review_person_acts
        WHERE (class, site) = (the_class, the_site) AND month < (isthmus.now() - make_interval(days => days))::date;
    DELETE FROM isthmus.review_reidentifications
        WHERE (class, site) = (the_class, the_site) AND month < (isthmus.now() - make_interval(days => days))::date;
$$;

REVOKE ALL ON FUNCTION isthmus.review_person_act, isthmus.reidentify_confirm, isthmus.review_people_sweep FROM PUBLIC;
"""
"""`review_people` has each name encrypted under the month's key, and is emptied when the month ends."""

REVIEWS_GRANTS = """
GRANT SELECT, INSERT ON isthmus.review_people TO {role};
GRANT SELECT ON isthmus.review_person_acts, isthmus.review_reidentifications TO {role};
GRANT INSERT (id, class, site, month, person, reason, asked_by, asked_identity, asked_role)
    ON isthmus.review_reidentifications TO {role};
GRANT EXECUTE ON FUNCTION isthmus.review_person_act, isthmus.reidentify_confirm, isthmus.review_people_sweep TO {role};
"""
