"""KFP edge of `dalsegno.registry.register`."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def register_model(
    model: dsl.Input[dsl.Model],
    metrics: dsl.Input[dsl.Metrics],
    name: str,
    run_id: str = "",
) -> str:
    """Record a trained model in the registry as the challenger.

    Args:
        model: Model folder.
        metrics: How it did on the test split, numbers by name.
        name: Name of the registered model, that of the endpoint it is for.
        run_id: Run that trained it; a run registers a model once.

    Returns:
        Output: Version in the registry.
    """
    from pathlib import Path

    from dalsegno import registry

    return registry.register(
        Path(model.path), name=name, metrics=metrics.metadata, run_id=run_id, source=model.uri
    )
