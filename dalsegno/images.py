"""The container images of the components, one constant a family."""

DATA = "ghcr.io/dalsegno/data-python:0.1.0"
TRAINING = "ghcr.io/dalsegno/training-python:0.1.0"
SERVING = "ghcr.io/dalsegno/serving-python:0.1.0"
