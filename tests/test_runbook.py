"""The runbook's blocks run as they stand, in order, and say what the page says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("curl")), reason="the runbook uses bash and curl"
)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run every block of the page in one Bash; its temporary folder is ours."""
    folder = tmp_path_factory.mktemp("runbook")
    blocks = BLOCK.findall((ROOT / "docs/runbook.md").read_text())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        cwd=ROOT,
        env={"PATH": path, "HOME": str(folder), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def test_runbook_trains_a_good_model(output: str) -> None:
    assert "ingested passengers: 1309 rows" in output
    assert "validated: 0 breaks" in output
    assert figure(r"split golden: (\d+) rows", output) >= 5000
    assert figure(r"test auc: (\S+)", output) > 0.8


def test_runbook_releases_and_serves(output: str) -> None:
    assert "blessed:\nTrue" in output
    assert "promoted: release 1" in output
    assert 0 < figure(r'"name":\s*"probability".*?"data":\s*\[([0-9.e-]+)\]', output) < 1
    assert "wrote 1309 rows to predictions.parquet" in output


def test_runbook_monitors_and_rolls_back(output: str) -> None:
    assert "monitored none: alarms [], action none" in output
    assert "monitored covariate: alarms ['bias', 'drift'], action retrain" in output
    assert re.search(r"release 3 of titanic is live: model \w+, that of release 1", output)


def figure(pattern: str, text: str) -> float:
    found = re.search(pattern, text, re.DOTALL)
    assert found is not None, pattern
    return float(found[1])
