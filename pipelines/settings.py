"""What each task may use and do on a cluster: the one place for it.

A task that is a pure function of its inputs may be answered from KFP's cache. One that talks to
the outside (store, registry, releases) gets the settings' Secret, is tried again when that fails,
and is never cached: each of them may run twice with the same result.
"""

from __future__ import annotations

from dataclasses import dataclass

from kfp import dsl, kubernetes

SECRET = "dalsegno-settings"  # noqa: S105 (its name)
SECRET_KEYS = (
    "DALSEGNO_STORE_URI",
    "DALSEGNO_MLFLOW_URI",
    "DALSEGNO_S3_ENDPOINT",
    "DALSEGNO_S3_REGION",
    "DALSEGNO_S3_SECURE",
    "DALSEGNO_S3_ACCESS_KEY",
    "DALSEGNO_S3_SECRET_KEY",
)
USER = 65532  # that of the images

PIPELINE = dsl.PipelineConfig(
    ttl_seconds_after_success=24 * 3600,
    ttl_seconds_after_failure=7 * 24 * 3600,  # time to replay what failed
)


@dataclass(frozen=True)
class Needs:
    """What a task needs.

    Attributes:
        cpu: Cores that it is promised; it may use twice as many.
        memory: Memory that it is promised and limited to, as Kubernetes writes it.
        minutes: Time that it may take.
        is_pure: Its outputs follow from its inputs alone.
        talks_outside: To the store, the registry or the releases.
    """

    cpu: float = 0.25
    memory: str = "1Gi"
    minutes: int = 15
    is_pure: bool = True
    talks_outside: bool = False


_OUTSIDE = Needs(is_pure=False, talks_outside=True)

TASKS = {
    "generate-passengers": Needs(),
    "ingest-examples": _OUTSIDE,
    "validate-examples": Needs(memory="2Gi"),
    "build-features": Needs(cpu=0.5, memory="2Gi", minutes=60),
    "publish-dataset": _OUTSIDE,
    "fetch-dataset": _OUTSIDE,
    "assemble-examples": Needs(memory="2Gi"),
    "renew-golden": _OUTSIDE,
    "select-features": Needs(cpu=0.5, memory="2Gi"),
    "tune-model": Needs(cpu=1, memory="4Gi", minutes=240),
    "train-model": Needs(cpu=1, memory="4Gi", minutes=120),
    "evaluate-model": Needs(memory="2Gi"),
    "fetch-champion": _OUTSIDE,
    "compare-models": Needs(cpu=0.5, memory="2Gi", minutes=30),
    "register-model": _OUTSIDE,
    "promote-model": _OUTSIDE,
    "predict-batch": Needs(memory="2Gi", minutes=60),
    # Each look at a batch is a decision of its own, with its evidence.
    "monitor-predictions": Needs(memory="2Gi", is_pure=False),
    "roll-back": _OUTSIDE,
}
"""Needs by component."""


def configure(*tasks: dsl.PipelineTask) -> None:
    """Give tasks what their component needs.

    Args:
        tasks: Of our components.
    """
    for task in tasks:
        needs = TASKS[task.component_spec.name]
        task.set_caching_options(needs.is_pure)
        task.set_cpu_request(f"{needs.cpu:g}").set_cpu_limit(f"{2 * needs.cpu:g}")
        task.set_memory_request(needs.memory).set_memory_limit(needs.memory)
        kubernetes.set_timeout(task, 60 * needs.minutes)
        kubernetes.set_security_context(task, run_as_user=USER, run_as_non_root=True)
        if needs.talks_outside:
            task.set_retry(2, backoff_duration="2s", backoff_factor=3)
            keys = {key: key for key in SECRET_KEYS}
            kubernetes.use_secret_as_env(task, SECRET, keys, optional=True)
