"""KFP edge of `validate_examples`."""

from typing import NamedTuple

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def validate_examples(
    examples: dsl.Input[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    schema: dict,
    labelled: bool = True,
) -> NamedTuple("Outputs", [("drifted", list)]):
    """Stop the line when raw tables are broken.

    Args:
        examples: Folder of `<table>.parquet`.
        schema: What the tables must be like: `{table: {"entity", "min_rows", "columns": {column:
            {"type", "required", "max_null_share", "min", "max", "values", "typical_null_share",
            "typical_mean", "typical_values"}}}}`. What is not typical is a drift, no break.
        labelled: Whether every row must have its label.

    Returns:
        report: Everything that was found; written for broken tables too.
        drifted: Columns that are legal and not typical, as `table.column`.
    """
    from pathlib import Path

    from components.validate_examples import logic
    from components.validate_examples import report as pages

    found = logic.validate(Path(examples.path), schema, labelled=labelled)
    Path(report.path).write_text(pages.render(found), "utf-8")
    found.check()
    return NamedTuple("Outputs", [("drifted", list)])(found.drifted)
