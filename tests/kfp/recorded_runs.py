"""Runs of KFP 2.17 on a real cluster, as its services told of them."""

from __future__ import annotations

import copy
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict

from dalsegno.cluster.mlmd_stubs import metadata_store_pb2 as mlmd
from tests.kfp.answers import Metadata

_FOLDER = Path(__file__).with_name("recorded")


@dataclass(frozen=True)
class RecordedRun:
    """One run.

    Attributes:
        answers: `v1beta1` and `v2beta1` of the run API (the workflow manifest as an object),
            `version` of the pipeline, `metadata` of ML Metadata, `logs` of the bucket by key.
    """

    answers: dict[str, Any]

    @classmethod
    def read(cls, name: str) -> RecordedRun:
        """Read what is recorded of a run, of the pipeline of that name in `samples` if it is there.

        Its artifacts are told to lie in the bucket of the tests.
        """
        text = gzip.decompress(_FOLDER.joinpath(f"{name}.json.gz").read_bytes()).decode()
        return cls(json.loads(text.replace("minio://mlpipeline/", "minio://tests/")))

    @property
    def run_id(self) -> str:
        found: str = self.answers["v2beta1"]["run_id"]
        return found

    @property
    def logs(self) -> dict[str, str]:
        found: dict[str, str] = self.answers["logs"]
        return found

    def v2(self) -> dict[str, Any]:
        return copy.deepcopy(self.answers["v2beta1"])

    def v1(self) -> dict[str, Any]:
        found = copy.deepcopy(self.answers["v1beta1"])
        runtime = found["pipeline_runtime"]
        runtime["workflow_manifest"] = json.dumps(runtime["workflow_manifest"])
        return found

    def metadata(self) -> Metadata:
        told = self.answers["metadata"]
        elsewhere = [_execution(item) for item in told["elsewhere"]]
        executions = [*map(_execution, told["executions"]), *elsewhere]
        return Metadata(
            contexts={self.run_id: ParseDict(told["context"], mlmd.Context())},
            executions={item.id: item for item in executions},
            events=[ParseDict(item, mlmd.Event()) for item in told["events"]],
            artifacts={
                int(item["id"]): ParseDict(item, mlmd.Artifact()) for item in told["artifacts"]
            },
            elsewhere={item.id for item in elsewhere},
            types={int(number): name for number, name in told["types"].items()},
        )


def _execution(item: dict[str, Any]) -> mlmd.Execution:
    return ParseDict(item, mlmd.Execution())
