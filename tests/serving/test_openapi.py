"""The OpenAPI document describes what the server does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from dalsegno import releases
from dalsegno.serving.client import wait_until_ready
from dalsegno.serving.process import start_server
from dalsegno.store import open_store
from tests.model_folder import make_model

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
OPERATIONS = 11


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    folder = tmp_path_factory.mktemp("server")
    store = open_store(str(folder / "store"))
    releases.promote(store, "titanic", make_model(folder / "model"), reason="", who="anna")
    with start_server(
        "titanic",
        log_path=folder / "log",
        cache_dir=folder / "cache",
        environment={"DALSEGNO_STORE_URI": store.uri},
    ) as server:
        wait_until_ready(server.url)
        yield schemathesis.openapi.from_url(f"{server.url}/openapi.json")
        assert "Traceback" not in (folder / "log").read_text()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_operation_keeps_to_the_document(
    schema: schemathesis.BaseSchema, mode: GenerationMode
) -> None:
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == OPERATIONS
    for operation in operations:
        has_body = operation.method == "post"
        play(operation, GenerationMode.POSITIVE if not has_body else mode, 40 if has_body else 5)


def play(operation: schemathesis.APIOperation, mode: GenerationMode, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    check()
