"""KFP edge of `generate_passengers`."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def generate_passengers(
    donors: dsl.Input[dsl.Dataset],
    examples: dsl.Output[dsl.Dataset],
    scenario: str = "none",
    rows: int = 2000,
    seed: int = 1,
) -> None:
    """Simulate a batch of passengers who never sailed.

    Args:
        donors: Folder of the real `passengers.parquet`, `tickets.parquet` and `ports.parquet`.
        scenario: none; covariate (other passengers, same law of survival); label (more survivors);
            concept (same passengers, another law); broken (no schema accepts it).
        rows: Passengers, exactly.
        seed: Same seed, same tables; two seeds share no passenger.

    Returns:
        examples: Folder of the same tables; metadata `scenario`, `rows`, `seed`.
    """
    from pathlib import Path

    from components.generate_passengers import logic

    tables = logic.generate(logic.read_tables(Path(donors.path)), scenario, rows, seed)
    logic.write_tables(tables, Path(examples.path))
    examples.metadata.update(scenario=scenario, rows=rows, seed=seed)
