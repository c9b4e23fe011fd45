"""KFP edge of `assemble_examples`."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def assemble_examples(
    features: dsl.Input[dsl.Dataset],
    golden_features: dsl.Input[dsl.Dataset],
    train: dsl.Output[dsl.Dataset],
    validation: dsl.Output[dsl.Dataset],
    test: dsl.Output[dsl.Dataset],
    golden: dsl.Output[dsl.Dataset],
    entity: str,
    target: str,
    leaks: list = [],  # noqa: B006 (KFP takes literals)
    seed: int = 0,
    validation_share: float = 0.15,
    test_share: float = 0.25,
    leak_auc: float = 0.95,
) -> None:
    """Deal labelled examples to splits in which an entity never changes sides.

    Args:
        features: Parquet, one row an entity, labelled.
        golden_features: Parquet with the same columns: labelled rows for the golden data set alone;
            without a file there are none.
        entity: Column that tells the rows apart.
        target: Label column, 0 or 1.
        leaks: Columns that give the label away, and must be absent.
        seed: Of the deal; an entity's split depends on this and its name alone.
        validation_share: Of the entities (0-1).
        test_share: Of the entities (0-1); the rest is for training.
        leak_auc: A feature that alone ranks the labels so well (0-1) is refused as a leak.

    Returns:
        train: Parquet, to fit on.
        validation: Parquet, to stop and choose by.
        test: Parquet, to evaluate on.
        golden: Parquet, the test split and the golden features of other entities.
    """
    from pathlib import Path

    import pandas as pd

    from components.assemble_examples import logic

    settings = logic.AssemblySettings(
        entity, target, leaks, seed, validation_share, test_share, leak_auc
    )
    more = Path(golden_features.path)
    splits = logic.assemble(
        pd.read_parquet(features.path),
        pd.read_parquet(more) if more.is_file() else None,
        settings,
    )
    outputs = {"train": train, "validation": validation, "test": test, "golden": golden}
    for name, output in outputs.items():
        frame = getattr(splits, name)
        Path(output.path).parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(output.path, index=False)
        output.metadata["rows"] = len(frame)
