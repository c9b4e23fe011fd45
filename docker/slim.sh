#!/bin/sh
# Takes out of an environment what no task reads: tests, headers, sources of extension modules,
# Arrow's Flight and its own S3 client, and ONNX Runtime's tools for changing models.
set -eu
packages=$(echo "$1"/lib/python3*/site-packages)
find "$packages" -depth -type d \( -name tests -o -name include -o -name SelfTest \) \
    -exec rm -rf {} +
find "$packages" -type f \( -name '*.pyx' -o -name '*.pxi' -o -name '*.pxd' -o -name '*.c' \
    -o -name '*.h' -o -name '*.hpp' -o -name '*.a' -o -name '*.pyi' \) -delete
for unused in transformers quantization tools datasets; do
    rm -rf "$packages/onnxruntime/$unused"
done
find "$packages" \( -path '*/pyarrow/*flight*' -o -path '*/pyarrow/*_s3*' \) -delete
_KFP_RUNTIME=true "$1/bin/python" warm.py
