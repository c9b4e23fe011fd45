"""Our messages live beside those of public clients, which have the same names."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("client", ["tritonclient.grpc", "kserve"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "last"])
def test_messages_live_beside_those_of_a_client(client, is_first):
    ours = "from dalsegno.serving.oip import grpc_predict_v2_pb2 as ours"
    lines = [ours, f"import {client}"] if is_first else [f"import {client}", ours]
    code = "; ".join([*lines, "print(ours.ModelInferRequest(model_name='a').model_name)"])
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout == "a\n", done.stderr[-500:]
