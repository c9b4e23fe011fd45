"""Deal labelled examples to splits that never change sides, and refuse what gives labels away."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dalsegno.encoding import Array, check_columns, datatype_of, read_numbers, read_text
from dalsegno.errors import InputError
from dalsegno.labels import Labels, read_labels
from dalsegno.monitoring.auc import auc

LEAK_ROWS = 50
LEAK_ROWS_EACH = 10  # with fewer rows of a label, chance alone ranks well
LEAK_CHANCE = 1e-9  # of as many rows with one and the same label, were they drawn at random
LEAK_CATEGORIES = 100


@dataclass(frozen=True)
class AssemblySettings:
    """How to deal the examples.

    Attributes:
        entity: Column that tells the rows apart.
        target: Label column, 0 or 1.
        leaks: Columns that must be absent.
        seed: Of the deal.
        validation_share: Of the entities (0-1).
        test_share: Of the entities (0-1); the rest is for training.
        leak_auc: A feature that alone ranks the labels so well gives them away (0-1).
    """

    entity: str
    target: str
    leaks: list[str]
    seed: int = 0
    validation_share: float = 0.15
    test_share: float = 0.25
    leak_auc: float = 0.95


@dataclass(frozen=True)
class Splits:
    """Disjoint frames with the columns of the features; the golden one holds the test split."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    golden: pd.DataFrame


def assemble(
    features: pd.DataFrame, golden_features: pd.DataFrame | None, settings: AssemblySettings
) -> Splits:
    """Check labelled features and deal them to splits.

    Args:
        features: One row an entity, labelled.
        golden_features: More labelled rows for the golden data set, with the same columns at
            least, or None. Entities that are among the features are left out.
        settings: How to deal.

    Raises:
        InputError: Columns, entities or labels are not as they must be, a feature leaks the label,
            or a split has less than one row of each label.
    """
    _check_shares(settings)
    _check_examples("features", features, settings)
    check_leaks(features, settings)
    if golden_features is None:
        golden_features = features.head(0)
    check_columns("golden_features", golden_features, list(features.columns))
    golden_features = golden_features[features.columns]
    _check_examples("golden_features", golden_features, settings)
    drawn = draw_shares(features[settings.entity], settings.seed)
    is_test = drawn < settings.test_share
    is_validation = ~is_test & (drawn < settings.test_share + settings.validation_share)
    parts = {
        "training split": features[~is_test & ~is_validation],
        "validation split": features[is_validation],
        "test split": features[is_test],
    }
    for name, part in parts.items():
        read_labels(name, part, settings.target, each=1)
    known = set(entity_names(features[settings.entity]))
    is_new = [name not in known for name in entity_names(golden_features[settings.entity])]
    train, validation, test = (part.reset_index(drop=True) for part in parts.values())
    golden = _stack(test, golden_features[is_new])
    return Splits(train, validation, test, golden)


def draw_shares(entities: pd.Series[Any], seed: int) -> Array:
    """Draw a number of [0, 1) for each entity by a hash: the same in every version of the data."""
    key = int(seed).to_bytes(8, "little", signed=True)
    digests = (
        hashlib.blake2b(name.encode(), digest_size=8, key=key).digest()
        for name in entity_names(entities)
    )
    whole = np.frombuffer(b"".join(digests), dtype="<u8")
    shares: Array = (whole >> np.uint64(11)) / 2.0**53
    return shares


def entity_names(entities: pd.Series[Any]) -> list[str]:
    """Write entities as text, 3 and 3.0 and "3" alike."""
    return [str(name) for name in read_text(entities)]


def check_leaks(features: pd.DataFrame, settings: AssemblySettings) -> None:
    """Refuse features that alone tell the label: by their value, or by whether they have one.

    Raises:
        InputError: Names the first such feature.
    """
    present = [name for name in settings.leaks if name in features.columns]
    if present:
        raise InputError(
            f"feature '{present[0]}' leaks '{settings.target}': got columns {present}, "
            "want none of them. Take them out of the feature SQL"
        )
    if len(features) < LEAK_ROWS:
        return
    labels = read_labels("features", features, settings.target)
    for name in features.columns.drop([settings.entity, settings.target]):
        found = _find_leak(features[name], labels, settings.leak_auc)
        if found:
            raise InputError(
                f"feature '{name}' leaks '{settings.target}': {found}. "
                "Take it out of the feature SQL"
            )


def _find_leak(column: pd.Series[Any], labels: Labels, limit: float) -> str:
    """Say how a feature gives the label away; "" when it does not."""
    if datatype_of(column) == "FP32":
        values = read_numbers(column.replace([np.inf, -np.inf], np.nan))
        has_value = ~np.isnan(values)
        by_value = _either_way(labels[has_value], values[has_value])
    else:
        texts = read_text(column)
        has_value = texts != ""
        is_few = len(set(texts)) <= LEAK_CATEGORIES
        scores = _folded_means(texts, labels) if is_few else np.zeros(len(labels))
        by_value = _either_way(labels, scores)
    for how, score in {
        "its value": by_value,
        "having a value": _either_way(labels, has_value.astype(float)),
    }.items():
        if score >= limit:
            return f"got AUC {score:.3f} from {how} alone, want less than {limit:g}"
    for how, rows in {"a": has_value, "no": ~has_value}.items():
        if _is_pure(labels, rows):
            return f"got one label in all {int(rows.sum())} rows with {how} value, want both"
    return ""


def _either_way(labels: Labels, scores: Array) -> float:
    """Give the AUC, upwards or downwards, or 0.5 where there are too few rows to tell."""
    ones = int(labels.sum())
    if len(labels) < LEAK_ROWS or min(ones, len(labels) - ones) < LEAK_ROWS_EACH:
        return 0.5
    upwards = auc(labels, scores)
    return max(upwards, 1 - upwards)


def _is_pure(labels: Labels, side: Array) -> bool:
    """Tell whether all of so many rows have one label, which chance would hardly bring about."""
    rows, ones = int(side.sum()), int(labels[side].sum())
    if rows < LEAK_ROWS or rows == len(labels) or 0 < ones < rows:
        return False
    share = labels.mean() if ones else 1 - labels.mean()
    return bool(share**rows < LEAK_CHANCE)


def _folded_means(texts: Array, labels: Labels) -> Array:
    """Score each row by the mean label of its value among the rows of the other half."""
    frame = pd.DataFrame({"value": texts, "label": labels, "half": np.arange(len(labels)) % 2})
    means = frame.groupby(["half", "value"])["label"].mean()
    others = pd.MultiIndex.from_arrays([1 - frame["half"], frame["value"]])
    scores: Array = means.reindex(others).fillna(labels.mean()).to_numpy()
    return scores


def _check_shares(settings: AssemblySettings) -> None:
    shares = (settings.validation_share, settings.test_share)
    if min(shares) <= 0 or sum(shares) >= 1:
        raise InputError(
            f"validation_share and test_share: got {shares[0]} and {shares[1]}, "
            "want both above 0 and their sum below 1"
        )


def _check_examples(subject: str, frame: pd.DataFrame, settings: AssemblySettings) -> None:
    check_columns(subject, frame, [settings.entity, settings.target])
    nameless = int(frame[settings.entity].isna().sum())
    if nameless:
        raise InputError(
            f"{subject}: got no '{settings.entity}' in {nameless} of {len(frame)} rows, want one"
        )
    names = pd.Series(entity_names(frame[settings.entity]), dtype=object)
    repeated = int(names.duplicated().sum())
    if repeated:
        raise InputError(
            f"{subject}: got {repeated} of {len(frame)} rows whose '{settings.entity}' "
            "came before, want each once"
        )
    read_labels(subject, frame, settings.target)


def _stack(test: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    if more.empty:
        return test.copy()
    return pd.concat([test, more], ignore_index=True)
