"""Asks a model server for predictions, frame by frame."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import httpx
import numpy as np
import pandas as pd

from dalsegno.encoding import read_inputs
from dalsegno.errors import InfrastructureError, InputError, NotFoundError
from dalsegno.serving.access import bearer, own_token

if TYPE_CHECKING:
    from dalsegno.encoding import Array, Datatype

_BATCH_ROWS = 5000
_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.05


def infer(
    url: str,
    endpoint: str,
    frame: pd.DataFrame,
    *,
    timeout_seconds: float = _TIMEOUT_SECONDS,
    client: httpx.Client | None = None,
    token: str = "",
) -> pd.DataFrame:
    """Let a server predict for every row of a frame.

    Args:
        url: Where the server listens: `http://127.0.0.1:8080`.
        endpoint: Name of the endpoint.
        frame: One row an entity; other columns than the model's inputs are not sent.
        timeout_seconds: For each request.
        client: To keep connections open over several calls.
        token: That the server wants, "" if it wants none.

    Returns:
        With the frame's index: `probability` (0-1), `decision` (0 or 1), `release`, and
        `prediction_id` of the request.

    Raises:
        InputError: A column is missing or of the wrong type.
        NotFoundError: The server does not know the endpoint.
        InfrastructureError: The server cannot be reached, or has no model yet.
    """
    with _Session(url, client, timeout_seconds, bearer(token)) as session:
        described = session.ask("GET", f"/v2/models/{endpoint}")
        inputs = {item["name"]: cast("Datatype", item["datatype"]) for item in described["inputs"]}
        tensors = read_inputs(frame, inputs)
        answers = [
            _read_answer(session.ask("POST", f"/v2/models/{endpoint}/infer", _request(batch)))
            for batch in _batches(tensors, len(frame))
        ]
    columns = ["probability", "decision", "release", "prediction_id"]
    answered = pd.concat(answers) if answers else pd.DataFrame(columns=columns)
    return answered.set_axis(frame.index, axis="index")


def wait_until_ready(
    url: str, timeout_seconds: float = 30.0, *, endpoint: str | None = None, release: int = 0
) -> None:
    """Wait until a server has a model, or until an endpoint answers with a release.

    A server that wants a token is shown that of the environment.

    Args:
        url: Where the server listens.
        timeout_seconds: How long to wait at most.
        endpoint: Endpoint to wait for; with none, all that the server follows.
        release: Number that the endpoint's release must have reached.

    Raises:
        InfrastructureError: It was not so in time.
    """
    deadline = time.monotonic() + timeout_seconds
    path = f"/v2/models/{endpoint}" if endpoint else "/v2/health/ready"
    got = "no answer"
    shown = bearer(own_token())
    with httpx.Client(
        base_url=url, timeout=timeout_seconds, trust_env=False, headers=shown
    ) as client:
        while time.monotonic() < deadline:
            try:
                answer = client.get(path)
            except httpx.TransportError as error:
                got = type(error).__name__
            else:
                if answer.is_success and int(answer.json().get("versions", [0])[0]) >= release:
                    return
                got = answer.text[:200]
            time.sleep(_POLL_SECONDS)
    want = f"release {release} of {endpoint!r}" if release else "it ready"
    raise InfrastructureError(f"server {url}: got {got}, want {want} in {timeout_seconds:g} s")


class _Session:
    def __init__(
        self,
        url: str,
        client: httpx.Client | None,
        timeout_seconds: float,
        headers: Mapping[str, str],
    ) -> None:
        self._headers = headers
        self._url = url.rstrip("/")
        self._given = client
        self._client = client or httpx.Client(trust_env=False)
        self._timeout = timeout_seconds

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *_: object) -> None:
        if self._given is None:
            self._client.close()

    def ask(self, method: str, path: str, document: Any = None) -> Any:
        try:
            answer = self._client.request(
                method,
                f"{self._url}{path}",
                json=document,
                timeout=self._timeout,
                headers=self._headers,
            )
        except httpx.TransportError as error:
            got = str(error) or type(error).__name__
            raise InfrastructureError(
                f"server {self._url}: got {got}, want an answer", "dalsegno serve ENDPOINT"
            ) from error
        if answer.is_success:
            return answer.json()
        raise _error(self._url, answer)


def _error(url: str, answer: httpx.Response) -> InputError | InfrastructureError:
    try:
        message = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        message = answer.text[:200]
    if answer.status_code == httpx.codes.NOT_FOUND:
        return NotFoundError(message)
    if answer.is_client_error:
        return InputError(message)
    return InfrastructureError(f"server {url}: got {answer.status_code} ({message}), want 200")


def _batches(tensors: dict[str, Array], rows: int) -> Iterator[dict[str, Array]]:
    for start in range(0, rows, _BATCH_ROWS):
        yield {name: tensor[start : start + _BATCH_ROWS] for name, tensor in tensors.items()}


def _request(tensors: dict[str, Array]) -> dict[str, Any]:
    return {"inputs": [_tensor(name, tensor) for name, tensor in tensors.items()]}


def _tensor(name: str, tensor: Array) -> dict[str, Any]:
    values = tensor.reshape(-1)
    if values.dtype == np.float32:
        data = [None if np.isnan(value) else float(value) for value in values]
        return {"name": name, "shape": [len(data), 1], "datatype": "FP32", "data": data}
    return {"name": name, "shape": [len(values), 1], "datatype": "BYTES", "data": values.tolist()}


def _read_answer(answer: dict[str, Any]) -> pd.DataFrame:
    values = {item["name"]: item["data"] for item in answer["outputs"]}
    return pd.DataFrame(
        {
            "probability": np.asarray(values["probability"], dtype=np.float32),
            "decision": np.asarray(values["decision"], dtype=np.int32),
            "release": int(answer["model_version"]),
            "prediction_id": str(answer["id"]),
        }
    )
