import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from dalsegno.errors import InputError
from dalsegno.monitoring.auc import auc, auc_error, bootstrap_aucs, expected_auc, roc_curve


def scored(rows: int, *, digits: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.4).astype(int)
    return labels, np.round(rng.normal(size=rows) + labels, digits)


@pytest.mark.parametrize("digits", [0, 1, 9], ids=["many-ties", "some-ties", "no-ties"])
def test_auc_equals_scikit_learn(digits):
    labels, scores = scored(500, digits=digits)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_one_class_is_refused():
    with pytest.raises(InputError, match="got 0 positives and 3 negatives, want both"):
        auc(np.zeros(3), np.arange(3))


@pytest.mark.parametrize("digits", [0, 9], ids=["many-ties", "no-ties"])
def test_bootstrap_draws_are_exact_aucs_of_drawn_rows(digits):
    labels, scores = scored(300, digits=digits)
    draws = bootstrap_aucs(labels, [scores, -scores], draws=50, seed=1)
    assert draws.sum(axis=1) == pytest.approx(np.ones(50), abs=1e-6)
    assert draws[:, 0].mean() == pytest.approx(roc_auc_score(labels, scores), abs=0.02)


def test_bootstrap_spread_is_the_standard_error():
    labels, scores = scored(2000, digits=2)
    draws = bootstrap_aucs(labels, [scores], draws=2000, seed=2)
    assert draws.std() == pytest.approx(auc_error(labels, scores), rel=0.06)


def test_bootstrap_is_paired_and_seeded():
    labels, scores = scored(400, digits=3)
    first, again = (bootstrap_aucs(labels, [scores, 2 * scores], draws=30, seed=3) for _ in "ab")
    assert (first == again).all()
    assert (first[:, 0] == first[:, 1]).all()


def test_expected_auc_meets_the_auc_of_calibrated_scores():
    rng = np.random.default_rng(0)
    scores = np.round(rng.beta(1, 2, size=40_000), 2)
    labels = (rng.random(40_000) < scores).astype(int)
    assert expected_auc(scores) == pytest.approx(auc(labels, scores), abs=0.01)


def test_roc_curve_equals_scikit_learn():
    labels, scores = scored(400, digits=1)
    false_rate, true_rate = roc_curve(labels, scores)
    other_false, other_true, _ = sklearn_roc_curve(labels, scores, drop_intermediate=False)
    assert false_rate == pytest.approx(other_false)
    assert true_rate == pytest.approx(other_true)
