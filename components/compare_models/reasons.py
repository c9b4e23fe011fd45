"""The gate's single findings: whether the challenger passes, and why, in a sentence."""

from __future__ import annotations

from components.compare_models.verdict import Difference, GateSettings, Power, Scored, SliceResult
from dalsegno.monitoring.drift import Drift

_RUN = "dalsegno run training --param renew_golden=true"
RENEW = f"renew it: {_RUN}"
ENLARGE = f"add labelled rows: {_RUN} --param reserve=DATASET"
NAMED = 4  # drifted features that a reason names

Finding = tuple[bool, str]


def judge_rows(rows: int, power: Power | None, settings: GateSettings) -> Finding:
    """Ask for enough golden rows, and state the power they give."""
    stated = f"; {power}" if power else ""
    if rows >= settings.min_golden_rows:
        return True, f"golden dataset: {rows} rows{stated}"
    want = f"want at least {settings.min_golden_rows}, the gate has no power without"
    return False, f"golden dataset: got {rows} rows, {want}{stated}. {ENLARGE}"


def judge_age(drift: Drift, settings: GateSettings) -> Finding:
    """Refuse a golden dataset that the fresh rows have drifted away from."""
    drifted = [column for column in drift.features if column.drifted]
    share = f"{len(drifted)} of {len(drift.features)} features drifted"
    if drift.drift_share < settings.max_drift_share:
        return True, f"golden dataset: {share} in the fresh validation split"
    named = "; ".join(column.text for column in drifted[:NAMED])
    named += f"; and {len(drifted) - NAMED} more" if len(drifted) > NAMED else ""
    want = f"want less than {settings.max_drift_share:.0%} of them"
    return False, f"golden dataset is stale: got {share} since, {want} ({named}). {RENEW}"


def judge_floor(auc_challenger: float, settings: GateSettings) -> Finding:
    """Ask for the absolute floor."""
    claim = f"challenger: got auc {auc_challenger:.4f} on the golden dataset"
    return auc_challenger >= settings.min_auc, f"{claim}, want at least {settings.min_auc}"


def judge_golden(measured: Difference, settings: GateSettings) -> Finding:
    """Ask for proof on the golden dataset that no loss reaches the margin."""
    if measured.difference == measured.standard_error == 0.0:
        return True, "challenger: ranks the golden dataset as the champion does, both are equal"
    want = f"want the lower end above {-settings.margin:+.4f}"
    passed = measured.lower > -settings.margin
    return passed, f"challenger: got {_stated(measured, settings)}, {want}"


def judge_fresh(
    validation: Scored, fresh: Difference | None, settings: GateSettings
) -> list[Finding]:
    """Refuse when the fresh rows prove a loss past the margin; they need not prove its absence."""
    if fresh is None:
        return [(True, f"{validation.name}: not judged, it has only one label")]
    want = f"want the upper end above {-settings.margin:+.4f}"
    passed = fresh.upper > -settings.margin
    return [(passed, f"{validation.name}: got {_stated(fresh, settings)}, {want}")]


def judge_slices(judged: list[SliceResult], settings: GateSettings) -> list[Finding]:
    """Refuse for each slice that proves a loss past the slice margin."""
    want = f"want no proven loss past {settings.slice_margin}"
    refusals = [
        (
            False,
            f"slice {result.column}={result.value}: got a difference of auc of "
            f"{result.difference:+.4f} to the champion (p {result.p_value:.2g} after Holm), {want}",
        )
        for result in judged
        if result.worse
    ]
    tested = sum(result.judged for result in judged)
    summary = f"slices: {tested} of {len(judged)} judged, none is significantly worse"
    return refusals or ([(True, summary)] if tested else [])


def _stated(measured: Difference, settings: GateSettings) -> str:
    level = 2 * settings.confidence - 1
    interval = f"{level:.0%} interval [{measured.lower:+.4f}, {measured.upper:+.4f}]"
    return f"a difference of auc of {measured.difference:+.4f} to the champion, {interval}"
