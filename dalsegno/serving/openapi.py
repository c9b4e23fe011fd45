"""What the server offers over HTTP, as an OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from dalsegno.serving.tensors import TYPES

_Schema = dict[str, Any]
_TEXT: _Schema = {"type": "string"}
_WHOLE: _Schema = {"type": "integer"}
_FLAG: _Schema = {"type": "boolean"}
_ANY: _Schema = {"type": "object"}
_RELEASE_NAME: _Schema = {"type": "string", "pattern": "^[0-9]+$"}
_FAULTS = {
    400: "The request does not fit the protocol or the model.",
    401: "There is no right token.",
    403: "The token does not open this endpoint.",
    404: "There is no such endpoint or version.",
    408: "The request did not arrive in time.",
    413: "The body or the batch is too large.",
    415: "The body is packed.",
    429: "There are too many requests at once.",
    503: "There is no model yet.",
    504: "The model did not answer in time.",
}


def document(endpoints: Sequence[str]) -> _Schema:
    """Describe a server.

    Args:
        endpoints: Names of what it serves.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dalsegno model server",
            "version": version("dalsegno"),
            "description": "Open Inference Protocol v2, with the binary tensor extension.",
        },
        "paths": {**_server_paths(), **_model_paths(endpoints)},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _server_paths() -> _Schema:
    ready = _answers("Ready", 503)
    ready["503"] = _answer("Not ready.", _ref("Ready"))
    return {
        "/v2": {"get": _operation("Tell what this server is", _answers("Server"))},
        "/v2/health/live": {"get": _operation("Tell that it runs", _answers("Live"))},
        "/v2/health/ready": {"get": _operation("Tell whether every model is ready", ready)},
        "/metrics": {
            "get": _operation(
                "Tell Prometheus",
                {"200": {"description": "Metrics.", "content": {"text/plain": {"schema": _TEXT}}}},
            )
        },
        "/openapi.json": {"get": _operation("Tell this", {"200": _answer("OpenAPI 3.1.", _ANY)})},
    }


def _model_paths(endpoints: Sequence[str]) -> _Schema:
    paths: _Schema = {}
    name = _parameter("name", {"type": "string", "enum": list(endpoints)})
    number = _parameter("version", _RELEASE_NAME)
    for base, parameters in (
        ("/v2/models/{name}", [name]),
        ("/v2/models/{name}/versions/{version}", [name, number]),
    ):
        ready = _answers("ModelReady", 404)
        ready["503"] = _answer("Not ready.", _ref("ModelReady"))
        described = _guarded("Tell inputs and outputs", _answers("Model", 401, 403, 404, 503))
        paths[base] = {"parameters": parameters, "get": described}
        paths[f"{base}/ready"] = {
            "parameters": parameters,
            "get": _operation("Tell whether it is ready", ready),
        }
        paths[f"{base}/infer"] = {"parameters": parameters, "post": _infer()}
    status = _guarded("Tell what is live", _answers("Status", 401, 403, 404))
    paths["/v2/models/{name}/status"] = {"parameters": [name], "get": status}
    return paths


def _infer() -> _Schema:
    operation = _guarded("Predict for a batch of rows", _answers("InferenceResponse", *_FAULTS))
    operation["responses"]["200"]["content"]["application/octet-stream"] = {}
    operation["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": _ref("InferenceRequest")}},
    }
    operation["parameters"] = [
        {
            "name": "X-Entity-Key",
            "in": "header",
            "required": False,
            "description": "Keeps an entity on one side of a canary.",
            "schema": {"type": "string", "pattern": "^[!-~]*$"},
        }
    ]
    return operation


def _operation(summary: str, responses: _Schema) -> _Schema:
    return {"summary": summary, "responses": responses}


def _guarded(summary: str, responses: _Schema) -> _Schema:
    return {**_operation(summary, responses), "security": [{}, {"token": []}]}


def _answers(schema: str, *faults: int) -> _Schema:
    refused = {str(status): _answer(_FAULTS[status], _ref("Error")) for status in faults}
    return {"200": _answer("The answer.", _ref(schema)), **refused}


def _answer(description: str, schema: _Schema) -> _Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _parameter(name: str, schema: _Schema) -> _Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: _Schema, *optional: str) -> _Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _list(items: _Schema) -> _Schema:
    return {"type": "array", "items": items}


def _or_null(kind: str) -> _Schema:
    return {"type": [kind, "null"]}


def _schemas() -> _Schema:
    datatype = {"type": "string", "enum": ["BYTES", *TYPES]}
    shape = {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": 2}
    described = _list(_object({"name": _TEXT, "datatype": datatype, "shape": _list(_WHOLE)}))
    tensor = {"name": _TEXT, "datatype": datatype, "shape": shape}
    numbers_or_texts = _list({"type": ["number", "string", "boolean", "array", "null"]})
    asked = {**tensor, "data": numbers_or_texts, "parameters": _ANY}
    answered = {**tensor, "data": _list({"type": "number"}), "parameters": _ANY}
    output = _object({"name": _TEXT, "parameters": _ANY}, "parameters")
    return {
        "Error": _object({"error": _TEXT}),
        "Server": _object({"name": _TEXT, "version": _TEXT, "extensions": _list(_TEXT)}),
        "Live": _object({"live": _FLAG}),
        "Ready": _object({"ready": _FLAG}),
        "ModelReady": _object({"name": _TEXT, "ready": _FLAG}),
        "Model": _object(
            {
                "name": _TEXT,
                "versions": _list(_TEXT),
                "platform": _TEXT,
                "inputs": described,
                "outputs": described,
                "parameters": _ANY,
            }
        ),
        "Status": _object(
            {
                "name": _TEXT,
                "ready": _FLAG,
                "release": _or_null("integer"),
                "trouble": _or_null("string"),
                "canary_percent": _WHOLE,
                "serving": _ANY,
                "swaps": _ANY,
            }
        ),
        "InferenceRequest": _object(
            {
                "id": _or_null("string"),
                "inputs": _list(_object(asked, "parameters")),
                "outputs": _list(output),
                "parameters": _ANY,
            },
            "id",
            "outputs",
            "parameters",
        ),
        "InferenceResponse": _object(
            {
                "model_name": _TEXT,
                "model_version": _TEXT,
                "id": _TEXT,
                "parameters": _ANY,
                "outputs": _list(_object(answered, "parameters")),
            }
        ),
    }
