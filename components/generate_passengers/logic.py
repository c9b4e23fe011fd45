"""Simulate a batch of passengers who never sailed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from components.generate_passengers.parties import COPIED, Donors, draw_parties
from components.generate_passengers.scenarios import (
    SCENARIOS,
    break_tables,
    covariate_weights,
    keep_share,
    probability,
    shift_covariates,
)
from dalsegno.errors import InputError

# As among the real passengers: 95% of those who survived have a boat on record, and 1% of those who
# did not; of the bodies of the dead 15% were found, and never of one who had been in a boat.
BOAT_SHARE = {1: 0.954, 0: 0.011}
BODY_SHARE = 0.150
BODIES = 330
MAX_SEED = 2**31
MIN_PARTIES = 200


def generate(
    donors: Mapping[str, pd.DataFrame], scenario: str, rows: int, seed: int
) -> dict[str, pd.DataFrame]:
    """Draw parties from real ones, give them new names and tickets, and say who survives.

    Args:
        donors: Raw tables `passengers`, `tickets` and `ports`.
        scenario: none: as the donors. covariate: other passengers, the same law of survival. label:
            more survivors, each like survivors are. concept: the same passengers, another law.
            broken: tables that no schema accepts.
        rows: Passengers, exactly.
        seed: Same seed, same tables; two seeds have no passenger and no ticket in common.

    Returns:
        The tables of the batch, by name; further tables of the donors as they are.
    """
    if scenario not in SCENARIOS:
        raise InputError(f"scenario: got {scenario!r}, want one of {', '.join(SCENARIOS)}")
    if rows < 1:
        raise InputError(f"rows: got {rows}, want at least 1")
    if not 0 <= seed < MAX_SEED:
        raise InputError(f"seed: got {seed}, want 0 to {MAX_SEED - 1}")
    rng = np.random.default_rng(seed)
    crowd = _gather(Donors.read(donors), scenario, rows, rng)
    boats = donors["passengers"]["boat"].dropna().to_numpy()
    passengers, tickets = _tables(crowd, boats, seed, rng)
    if scenario == "broken":
        passengers = break_tables(passengers, rng)
    return {**donors, "passengers": passengers, "tickets": tickets}


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Read every `<table>.parquet` of a folder."""
    return {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}


def write_tables(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write every table as `<table>.parquet`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)


def _gather(donors: Donors, scenario: str, rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw crowds until there are enough passengers; the last party may lose some."""
    weights = covariate_weights(donors) if scenario == "covariate" else None
    parties = MIN_PARTIES + int(1.1 * rows / donors.size.mean())
    crowds: list[pd.DataFrame] = []
    while sum(map(len, crowds)) < rows:
        crowd = draw_parties(donors, rng, parties, weights)
        if scenario == "covariate":
            crowd = shift_covariates(crowd)
        chance = probability(crowd, scenario)
        crowd["survived"] = (rng.random(len(crowd)) < chance).astype(np.int64)
        if scenario == "label":
            party = crowd["party"].to_numpy()
            kept = rng.random(parties) < keep_share(party, crowd["survived"].to_numpy())
            crowd = crowd[kept[party]]
        crowds.append(crowd.assign(party=crowd["party"] + parties * len(crowds)))
    crowd = pd.concat(crowds, ignore_index=True).head(rows)
    return crowd.assign(party=pd.factorize(crowd["party"])[0])


def _tables(
    crowd: pd.DataFrame, boats: np.ndarray, seed: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    survived = crowd["survived"].to_numpy()
    numbers = [f"{number:06d}" for number in range(1, len(crowd) + 1)]
    titles = crowd["title"].fillna("").str.title()
    crowd = crowd.assign(
        passenger_id=[f"g{seed}-{number}" for number in numbers],
        ticket=[f"g{seed}-t{party:06d}" for party in crowd["party"] + 1],
        name=[
            f"Party {party + 1}, {title}. {number}"
            for party, title, number in zip(crowd["party"], titles, numbers, strict=True)
        ],
    )
    in_boat = rng.random(len(crowd)) < np.where(survived == 1, BOAT_SHARE[1], BOAT_SHARE[0])
    found = ~in_boat & (survived == 0) & (rng.random(len(crowd)) < BODY_SHARE)
    crowd["boat"] = pd.Series(rng.choice(boats, len(crowd)), dtype=object).where(in_boat, None)
    body = pd.Series(rng.integers(1, BODIES, len(crowd)), dtype="Int64")
    crowd["body"] = body.where(found)
    order = ["passenger_id", *COPIED[:5], "ticket", *COPIED[5:7], "boat", "body", "home_dest"]
    tickets = crowd.drop_duplicates("party")[["ticket", "pclass", "fare"]]
    return crowd[[*order, "survived"]], tickets.reset_index(drop=True)
