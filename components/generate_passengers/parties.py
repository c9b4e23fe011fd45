"""Draw new parties of passengers like real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dalsegno.errors import InputError

Array = npt.NDArray[Any]

COPIED = ["name", "sex", "age", "sibsp", "parch", "cabin", "port", "home_dest"]
NEEDED = {
    "passengers": [*COPIED, "ticket", "boat"],
    "tickets": ["ticket", "pclass", "fare"],
    "ports": ["port"],
}
AGE_STEP, FARE_STEP = 0.01, 0.02  # how far a value moves among all values in order, as a share


@dataclass(frozen=True)
class Donors:
    """Real passengers, those of one ticket side by side.

    Attributes:
        people: One row a passenger, with `title`.
        tickets: One row a party: `pclass`, `fare`.
        start: First passenger of every party, shape (parties,).
        size: Passengers of every party, shape (parties,).
    """

    people: pd.DataFrame
    tickets: pd.DataFrame
    start: Array
    size: Array

    @classmethod
    def read(cls, tables: Mapping[str, pd.DataFrame]) -> Donors:
        """Group the passengers of the raw tables by ticket.

        Raises:
            InputError: A table or a column is missing, or no passenger has a ticket.
        """
        for name, columns in NEEDED.items():
            if name not in tables:
                raise InputError(f"donors: got tables {sorted(tables)}, want {name!r} among them")
            missing = [column for column in columns if column not in tables[name]]
            if missing:
                got = list(tables[name].columns)
                raise InputError(f"donors.{name}: got columns {got}, want {missing} among them")
        people = tables["passengers"].merge(tables["tickets"], on="ticket", validate="many_to_one")
        if people.empty:
            raise InputError("donors: got no passenger with a ticket, want some")
        people = people.sort_values("ticket", kind="stable", ignore_index=True)
        first = ~people["ticket"].duplicated().to_numpy()
        start = np.flatnonzero(first)
        people["title"] = people["name"].str.extract(r", ([^.]*)\.")[0].str.lower()
        tickets = people.loc[first, ["pclass", "fare"]].reset_index(drop=True)
        return cls(people, tickets, start, np.diff(start, append=len(people)))


def draw_parties(
    donors: Donors, rng: np.random.Generator, parties: int, weights: Array | None = None
) -> pd.DataFrame:
    """Draw parties with replacement, with ages and fares moved a little.

    A value moves to one of its neighbours among the real values in order, fares within their class,
    so that all values together stay spread as they are, ties and all.

    Args:
        donors: Whom to draw from.
        rng: Source of chance.
        parties: How many to draw.
        weights: How likely each party is, shape (parties of the donors,).

    Returns:
        One row a passenger: the columns `COPIED`, `title`, `pclass`, `fare` and `party` (from 0).
    """
    share = None if weights is None else weights / weights.sum()
    drawn = rng.choice(len(donors.size), parties, p=share)
    size = donors.size[drawn]
    party = np.repeat(np.arange(parties), size)
    within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    who = np.repeat(donors.start[drawn], size) + within
    crowd = donors.people[[*COPIED, "title"]].take(who).reset_index(drop=True)
    ages = donors.people["age"].to_numpy(np.float64, na_value=np.nan)
    fares = donors.tickets["fare"].to_numpy(np.float64, na_value=np.nan)
    classes = donors.tickets["pclass"].to_numpy()
    everyone = np.zeros(len(ages))
    crowd["age"] = move(ages, everyone, who, rng, AGE_STEP)
    crowd["fare"] = move(fares, classes, drawn, rng, FARE_STEP)[party]
    crowd["pclass"] = classes[drawn][party]
    return crowd.assign(party=party)


def move(
    values: Array, groups: Array, drawn: Array, rng: np.random.Generator, step: float
) -> Array:
    """Return the drawn values, each moved to a neighbour in the order of its group.

    Drawn alike, values keep their distribution: ranks are uniform, and stay so when they are
    moved and reflected at both ends. A missing value stays missing.

    Args:
        values: Real values, NaN where missing, shape (n,).
        groups: Of each value, shape (n,).
        drawn: Which values were drawn, shape (m,).
        rng: Source of chance.
        step: Standard deviation of the move, as a share of the group's values (0-1).
    """
    moved = values[drawn].copy()
    chance = rng.standard_normal(len(drawn))
    for group in np.unique(groups):
        members = np.flatnonzero((groups == group) & ~np.isnan(values))
        if not len(members):
            continue
        order = members[np.argsort(values[members], kind="stable")]
        rank = np.full(len(values), -1)
        rank[order] = np.arange(len(order))
        here = np.flatnonzero(rank[drawn] >= 0)
        to = np.rint(rank[drawn[here]] + chance[here] * step * len(order)).astype(np.int64)
        to = np.where(to < 0, -1 - to, to)
        to = np.where(to >= len(order), 2 * len(order) - 1 - to, to)
        moved[here] = values[order[np.clip(to, 0, len(order) - 1)]]
    return moved
