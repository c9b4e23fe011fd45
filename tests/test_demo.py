"""The whole loop, run as `make demo` runs it, from a folder whose packages have our names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder: Path = tmp_path_factory.mktemp("project")
    for name in ("components", "pipelines"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('not ours')")
    dalsegno = Path(sys.executable).parent / "dalsegno"
    done = subprocess.run(
        [str(dalsegno), "demo"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if "DALSEGNO" not in name},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return {**json.loads((folder / "demo" / "demo.json").read_text()), "printed": done.stdout}


def test_first_model_ranks_the_real_passengers(story):
    assert 0.82 < story["auc_first"] < 0.95


def test_quiet_batch_raises_no_alarm_and_drifted_does(story):
    assert story["alarms_quiet"] == []
    assert any(alarm.startswith("drift: fare:") for alarm in story["alarms_drifted"])


def test_broken_batch_stops_the_line(story):
    assert "passengers.sex: got 40% nulls, want at most 0%" in story["broken"]
    [tasks] = [step["tasks"] for step in story["steps"] if step["step"].startswith("3 features")]
    assert tasks["build-features"]["state"] == tasks["publish-dataset"]["state"] == "skipped"


def test_stale_golden_is_refused_and_renewed_blessed(story):
    assert story["refused_on_stale_golden"][0].startswith("golden dataset is stale")
    assert any("difference of auc" in reason for reason in story["blessed_on_renewed_golden"])


def test_rollback_is_a_third_release(story):
    assert [line.partition(":")[0] for line in story["releases"]] == [
        "1 promoted",
        "2 promoted",
        "3 rolled_back",
    ]
    assert "answers with release 3" in story["printed"]


def test_reports_are_whole_pages(story):
    for path in story["reports"].values():
        assert Path(path).read_text().rstrip().endswith("</html>")
