"""Answers for all endpoints of a process, whatever protocol the question came by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np

from dalsegno.errors import InputError
from dalsegno.serving.access import Access
from dalsegno.serving.endpoint import CANARY, CHAMPION, Array, Endpoint, Live, Prediction, Served
from dalsegno.serving.faults import Refusal
from dalsegno.serving.identity import new_id
from dalsegno.serving.limits import Gate, Limits
from dalsegno.serving.messages import Answer, InferenceRequest, wanted_outputs
from dalsegno.serving.metrics import Metrics
from dalsegno.serving.plain import PlainTensors

Inputs = dict[str, Array]
INLINE_ROWS = 256  # a small batch takes less time than the way to another thread
KEY_HEADER, KEY_PARAMETER = "x-entity-key", "entity_key"


@dataclass(slots=True)
class Asked:
    """A question and where it came from.

    Attributes:
        endpoint: Name of the endpoint.
        version: Number of the release that shall answer, "" for any.
        protocol: `http` or `grpc`.
        caller: Name of who asks, "" where no token is needed.
        key: Header that keeps a caller or an entity on one side of a canary, "" if none.
        started: When all of it was there, by `time.perf_counter`.
    """

    endpoint: str
    version: str
    protocol: str
    caller: str = ""
    key: str = ""
    started: float = 0.0


class Service:
    """Chooses the model, asks it, and tells metrics and log of the answer.

    Args:
        endpoints: By name what is served.
        limits: What callers may ask.
        access: Who may ask.
    """

    def __init__(
        self, endpoints: Mapping[str, Endpoint], limits: Limits, access: Access | None = None
    ) -> None:
        self.endpoints = endpoints
        self.limits = limits
        self.gate = Gate(limits)
        self.access = access or Access()
        self.metrics = Metrics(endpoints)
        self.metrics.watch("dalsegno_in_flight", "Requests under way.", lambda: self.gate.in_flight)

    @property
    def is_ready(self) -> bool:
        """Whether every endpoint has a model, and the server is not about to stop."""
        loaded = all(endpoint.live for endpoint in self.endpoints.values())
        return loaded and not self.gate.is_draining

    def endpoint(self, name: str) -> Endpoint:
        """Return an endpoint.

        Raises:
            Refusal: There is none of this name.
        """
        endpoint = self.endpoints.get(name)
        if endpoint is None:
            known = ", ".join(sorted(self.endpoints))
            got = f"model: got {name[:60]!r}, want one of: {known}"
            raise Refusal(HTTPStatus.NOT_FOUND, got)
        return endpoint

    def live(self, name: str) -> Live:
        """Return what is live of an endpoint.

        Raises:
            Refusal: There is no such endpoint, or nothing is loaded yet.
        """
        endpoint = self.endpoint(name)
        live = endpoint.live
        if live is None:
            why = endpoint.trouble or "no release"
            got = f"model {name!r}: got {why}, want a release"
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, got)
        return live

    async def answer(self, asked: Asked, request: InferenceRequest) -> Answer:
        """Answer a question.

        Raises:
            InputError: The request does not fit the model.
            Refusal: It asks too much, or there is no such model.
        """
        live = self.live(asked.endpoint)
        key = asked.key or str(request.parameters.get(KEY_PARAMETER) or "")
        key = key or _key_column(live, request) or asked.caller
        served = self._choose(live, asked, key)
        wanted_outputs(request)
        self._check_rows(request)
        try:
            inputs, probabilities = await self._run(served, request)
        except Exception as error:
            if served.role != CANARY or asked.version or _is_ours(error):
                raise
            inputs, probabilities = await self._run(live.champion, request)
            self._tell_failure(asked, served, inputs, request, key, error)
            served = live.champion
        answer = Answer(request, served, inputs, probabilities, new_id())
        self._tell(asked, answer, live, key)
        return answer

    async def _run(self, served: Served, request: InferenceRequest) -> tuple[Inputs, Array]:
        inputs = request.columns(served.model.inputs)
        if request.rows <= INLINE_ROWS:
            return inputs, served.model.run(inputs)
        return inputs, await self._run_aside(served, inputs)

    def refused(self, asked: Asked, status: int) -> None:
        """Count a question that was not answered."""
        name = asked.endpoint if asked.endpoint in self.endpoints else ""
        self.metrics.count(name, 0, asked.protocol, status)

    def _choose(self, live: Live, asked: Asked, key: str) -> Served:
        if asked.version:
            return live.version(asked.version)
        return self.endpoints[asked.endpoint].choose(live, key)

    def _check_rows(self, request: InferenceRequest) -> None:
        if isinstance(request.inputs, PlainTensors) and request.rows <= self.limits.rows:
            return
        for tensor in request.inputs:
            if tensor.shape and tensor.shape[0] > self.limits.rows:
                got = f"inputs: got {tensor.shape[0]} rows, want at most {self.limits.rows}"
                raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, got)

    async def _run_aside(self, served: Served, inputs: dict[str, Array]) -> Array:
        work = asyncio.to_thread(served.model.run, inputs)
        try:
            return await asyncio.wait_for(work, self.limits.answer_seconds)
        except TimeoutError as error:
            want = f"an answer within {self.limits.answer_seconds:g} s: send smaller batches"
            raise Refusal(
                HTTPStatus.GATEWAY_TIMEOUT, f"model: got no answer, want {want}"
            ) from error

    def _tell_failure(
        self,
        asked: Asked,
        served: Served,
        inputs: Inputs,
        request: InferenceRequest,
        key: str,
        error: Exception,
    ) -> None:
        """Tell of a canary that gave no answer: the champion does, and the caller never knows."""
        on_failure = self.endpoints[asked.endpoint].on_failure
        if on_failure:
            now, seconds = time.time(), time.perf_counter() - asked.started
            nothing = np.empty(0, dtype=np.float32)
            prediction = Prediction(
                new_id(), request.id, served, inputs, nothing, now, seconds, asked.caller, key
            )
            on_failure(prediction, error)

    def _tell(self, asked: Asked, answer: Answer, live: Live, key: str) -> None:
        seconds = time.perf_counter() - asked.started
        release = answer.served.release
        rows = len(answer.probabilities)
        self.metrics.answered(asked.endpoint, release.number, asked.protocol, seconds, rows)
        on_prediction = self.endpoints[asked.endpoint].on_prediction
        if on_prediction:
            shadow = live.shadow if answer.served.role == CHAMPION else None
            prediction = Prediction(
                id=answer.prediction_id,
                request_id=answer.request.id,
                served=answer.served,
                inputs=_with_shadows(answer, shadow) if shadow else answer.inputs,
                probabilities=answer.probabilities,
                at=time.time(),
                seconds=seconds,
                caller=asked.caller,
                key=key,
            )
            on_prediction(prediction, live)


def _with_shadows(answer: Answer, shadow: Served) -> Inputs:
    """Add the columns that only a challenger in the shadow takes, if they came."""
    if shadow.model.inputs.keys() <= answer.inputs.keys():
        return answer.inputs
    try:
        return answer.request.columns(shadow.model.inputs) | answer.inputs
    except InputError:
        return answer.inputs


def _key_column(live: Live, request: InferenceRequest) -> str:
    """Return the first row's value of the column that a canary splits the traffic by."""
    name = live.canary.release.canary_key if live.canary else ""
    for tensor in request.inputs if name else ():
        if tensor.name == name:
            return _first(tensor.values)
    return ""


def _is_ours(error: Exception) -> bool:
    """Tell whether an answer failed by what was asked, whichever model answers."""
    return isinstance(error, Refusal) and error.status != HTTPStatus.GATEWAY_TIMEOUT


def _first(values: Any) -> str:
    while isinstance(values, list | np.ndarray):
        values = values[0] if len(values) else ""
    return values.decode("utf-8", "replace") if isinstance(values, bytes) else str(values)
