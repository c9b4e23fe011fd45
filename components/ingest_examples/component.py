"""KFP edge of `ingest_examples`."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def ingest_examples(examples: dsl.Output[dsl.Dataset], tables_uri: str) -> None:
    """Bring raw tables in from where they are kept.

    Args:
        tables_uri: Folder of `<table>.csv` (UTF-8, comma, header) and `<table>.parquet`: a path,
            file://, s3://, minio://, gs://, package://a.package/folder or dataset://name@number.

    Returns:
        examples: Folder of `<table>.parquet`; metadata `rows` by table.
    """
    import tempfile
    from pathlib import Path

    from components.ingest_examples import logic
    from components.ingest_examples.source import local_folder

    with tempfile.TemporaryDirectory() as scratch:
        tables = logic.read_tables(local_folder(tables_uri, Path(scratch)), Path(examples.path))
    examples.metadata["rows"] = {table.name: table.rows for table in tables}
