-- One row a passenger: what the model may know of them, and the label where there is one.
-- `boat`, `body` and `home_dest` are left out: the first two were written down after the sinking and
-- give the label away, the third was researched later, for survivors above all.
WITH people AS (
    -- `survived` may be missing from a batch that has no labels yet: inside the lateral query the
    -- name then means the NULL outside of it, by SQL's own rule of scopes.
    SELECT inside.*
    FROM (SELECT CAST(NULL AS INTEGER) AS survived) AS unlabelled
    CROSS JOIN LATERAL (
        SELECT
            passenger_id,
            NULLIF(TRIM(name), '') AS name,
            LOWER(NULLIF(TRIM(sex), '')) AS sex,
            CAST(age AS DOUBLE) AS age,
            CAST(sibsp AS INTEGER) AS sibsp,
            CAST(parch AS INTEGER) AS parch,
            NULLIF(TRIM(ticket), '') AS ticket,
            NULLIF(TRIM(cabin), '') AS cabin,
            UPPER(NULLIF(TRIM(port), '')) AS port,
            survived
        FROM passengers
    ) AS inside
),
titled AS (
    SELECT
        people.*,
        LOWER(TRIM(SPLIT_PART(SPLIT_PART(name, ', ', 2), '.', 1))) AS called,
        UPPER(SUBSTRING(cabin, 1, 1)) AS deck,
        CAST(LENGTH(cabin) - LENGTH(REPLACE(cabin, ' ', '')) + 1 AS INTEGER) AS cabins
    FROM people
),
parties AS (
    SELECT
        ticket,
        CAST(COUNT(*) AS INTEGER) AS party_size,
        CAST(SUM(CASE WHEN sex = 'female' THEN 1 ELSE 0 END) AS INTEGER) AS party_women,
        CAST(SUM(CASE WHEN called = 'master' OR age < 15 THEN 1 ELSE 0 END) AS INTEGER)
            AS party_children
    FROM titled
    WHERE ticket IS NOT NULL
    GROUP BY ticket
)
SELECT
    titled.passenger_id,
    CAST(titled.survived AS INTEGER) AS survived,
    titled.sex,
    CAST(tickets.pclass AS INTEGER) AS pclass,
    titled.age,
    CASE
        WHEN called IN ('mr', 'don', 'sir', 'jonkheer') THEN 'mr'
        WHEN called IN ('mrs', 'mme', 'lady', 'dona', 'the countess') THEN 'mrs'
        WHEN called IN ('miss', 'mlle', 'ms') THEN 'miss'
        WHEN called = 'master' THEN 'master'
        WHEN called IN ('dr', 'rev', 'col', 'major', 'capt') THEN 'officer'
        ELSE 'other'
    END AS title,
    titled.sibsp,
    titled.parch,
    titled.sibsp + titled.parch + 1 AS family_size,
    COALESCE(parties.party_size, 1) AS party_size,
    COALESCE(parties.party_women, 0) AS party_women,
    COALESCE(parties.party_children, 0) AS party_children,
    CAST(tickets.fare AS DOUBLE) AS fare,
    CAST(tickets.fare AS DOUBLE) / COALESCE(parties.party_size, 1) AS fare_per_person,
    titled.deck,
    COALESCE(titled.cabins, 0) AS cabins,
    ports.name AS port,
    ports.country
FROM titled
LEFT JOIN parties ON parties.ticket = titled.ticket
LEFT JOIN tickets ON tickets.ticket = titled.ticket
LEFT JOIN ports ON ports.port = titled.port
-- Passengers only: crew have no class. Keeps all 1,309 rows of the real data.
WHERE titled.name IS NOT NULL
  AND titled.sex IS NOT NULL
  AND tickets.pclass IN (1, 2, 3)
  AND (titled.age IS NULL OR titled.age > 0)
