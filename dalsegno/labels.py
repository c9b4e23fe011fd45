"""The label column: 0 or 1 in every row, and enough of both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from dalsegno.encoding import check_columns
from dalsegno.errors import InputError

Labels = npt.NDArray[np.int8]


def read_labels(subject: str, frame: pd.DataFrame, target: str, *, each: int = 0) -> Labels:
    """Read the labels of all rows.

    Args:
        subject: What the frame is, for errors.
        frame: One row an entity.
        target: Label column.
        each: Rows that each of both labels must have at least.

    Returns:
        0 or 1, of shape (rows,).

    Raises:
        InputError: The column or a label is missing, a label is neither 0 nor 1, or there are too
            few of one.
    """
    check_columns(subject, frame, [target])
    column = frame[target]
    missing = int(column.isna().sum())
    if missing:
        raise InputError(
            f"{subject}: got no '{target}' in {missing} of {len(frame)} rows, want 0 or 1"
        )
    strange = int((~column.isin([0, 1])).sum())
    if strange:
        raise InputError(
            f"{subject}: got other '{target}' than 0 and 1 in {strange} of {len(frame)} rows, "
            "want 0 or 1"
        )
    labels: Labels = column.to_numpy().astype(np.int8)
    zeros, ones = int((labels == 0).sum()), int((labels == 1).sum())
    if min(zeros, ones) < each:
        raise InputError(
            f"{subject}: got {zeros} rows with '{target}' 0 and {ones} with 1, "
            f"want at least {each} of each"
        )
    return labels


def stratified_folds(labels: Labels, folds: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Deal rows to folds at random, both labels evenly.

    Returns:
        Number of the fold of each row, from 0.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    dealt = shuffled[np.argsort(labels[shuffled], kind="stable")]
    numbers = np.empty(len(labels), dtype=np.int64)
    numbers[dealt] = np.arange(len(labels)) % folds
    return numbers
