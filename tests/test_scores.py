from __future__ import annotations

import numpy as np
import pytest

from dalsegno.scores import (
    accuracy,
    brier_score,
    calibration_curve,
    calibration_error,
    f1_score,
    log_loss,
)


def test_scores_equal_scikit_learns() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(0)
    probabilities = rng.random(500).round(2).astype(np.float32)
    labels = (rng.random(500) < probabilities).astype(int)
    decisions = probabilities >= 0.4
    assert log_loss(labels, probabilities) == pytest.approx(metrics.log_loss(labels, probabilities))
    assert brier_score(labels, probabilities) == pytest.approx(
        metrics.brier_score_loss(labels, probabilities)
    )
    assert accuracy(labels, decisions) == metrics.accuracy_score(labels, decisions)
    assert f1_score(labels, decisions) == pytest.approx(metrics.f1_score(labels, decisions))


def test_log_loss_of_certain_mistakes_is_finite() -> None:
    assert log_loss(np.array([1, 0]), np.array([0.0, 1.0])) == pytest.approx(15.94, abs=0.01)


def test_f1_without_positives_is_zero() -> None:
    assert f1_score(np.zeros(3), np.zeros(3)) == 0.0


def test_calibration_cuts_at_deciles() -> None:
    probabilities = np.arange(100) / 100
    expected, observed, rows = calibration_curve(np.ones(100), probabilities)
    assert rows.tolist() == [10] * 10
    assert expected[0] == pytest.approx(0.045)
    assert observed.tolist() == [1.0] * 10
    assert calibration_error(np.ones(100), probabilities) == pytest.approx(1 - 0.495)


def test_calibration_keeps_equal_probabilities_together() -> None:
    labels, probabilities = np.array([0, 1] * 50), np.array([0.5] * 100)
    assert len(calibration_curve(labels, probabilities)[2]) == 1
    assert calibration_error(labels, probabilities) == 0.0
    assert calibration_error(labels, probabilities + 0.2) == pytest.approx(0.2)
