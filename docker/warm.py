"""Import what the tasks import, so that bytecode lies in the image for it and for nothing else.

A task runs as a user who cannot write it, and bytecode of everything would take 0.1 GB more.
"""

import importlib
import importlib.util
import sys

IMPORTED = [
    "alembic.command",
    "duckdb",
    "fastapi",
    "google.cloud.storage",
    "google.protobuf.json_format",
    "grpc.aio",
    "httptools",
    "jinja2",
    "kfp.dsl.executor_main",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "minio",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.rest_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.telemetry",
    "mlflow.tracking",
    "numpy.random",
    "onnx",
    "onnx.checker",
    "onnxruntime",
    "optuna",
    "orjson",
    "pandas.io.formats.format",
    "pandas.io.parquet",
    "prometheus_client",
    "pyarrow.compute",
    "pyarrow.parquet",
    "pydantic_settings",
    "scipy.special",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "urllib3.contrib",
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
    "xgboost.sklearn",
    "yaml",
]

for name in IMPORTED:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if importlib.util.find_spec(str(error.name).partition(".")[0]):
            raise  # what is here has lost a part; else it is another family's
sys.exit(0 if "kfp" in sys.modules else "got no kfp, want it in every image")
