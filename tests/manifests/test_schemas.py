"""Every rendered manifest is what the API server of several versions takes."""

from __future__ import annotations

import copy

import kubernetes_validate
import pytest

from tests.manifests.custom import check_custom
from tests.manifests.rendering import OVERLAYS, SERVERS, of_kind, render

VERSIONS = ["1.31", "1.33", "1.36"]


def is_custom(document):
    return "kserve.io/" in document["apiVersion"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_fit_the_schemas(overlay, server, version):
    documents = [item for item in render(overlay, server) if not is_custom(item)]
    assert len(documents) > 10
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_custom_resources_fit_their_own_schema(overlay):
    custom = [item for item in render(overlay, "kserve") if is_custom(item)]
    assert {item["kind"] for item in custom} == {"InferenceService"}
    for document in custom:
        check_custom(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("container",), []),
        (("containers", 0, "nmae"), "server"),
        (("containers", 0, "readinessProbe", "periodSeconds"), "2"),
        (("containers", 0, "ports", 0, "containerPort"), None),
    ],
    ids=["unknown", "misspelt", "text-for-number", "missing"],
)
def test_wrong_custom_resource_is_found(path, value):
    wrong = copy.deepcopy(of_kind(render("s3", "kserve"), "InferenceService")[0])
    place = wrong["spec"]["predictor"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    if value is None:
        del place[path[-1]]
    with pytest.raises(ValueError, match=r"want|must not be"):
        check_custom(wrong)
