#!/bin/sh
# Takes out of an environment what no task reads: tests, headers, sources of extension modules,
# symbols for debuggers, what Arrow has besides Parquet (its clients of object stores among it) and
# second copies of its libraries, ONNX Runtime for C programs and its tools for changing models.
set -eu
packages=$(echo "$1"/lib/python3*/site-packages)
find "$packages" -depth -type d \( -name tests -o -name include -o -name SelfTest \) \
    -exec rm -rf {} +
find "$packages" -type f \( -name '*.pyx' -o -name '*.pxi' -o -name '*.pxd' -o -name '*.c' \
    -o -name '*.cc' -o -name '*.h' -o -name '*.hpp' -o -name '*.a' -o -name '*.pyi' \) -delete
for unused in transformers quantization tools datasets; do
    rm -rf "$packages/onnxruntime/$unused"
done
rm -f "$packages"/onnxruntime/capi/libonnxruntime.so*
for unused in flight s3 gcsfs azurefs hdfs orc substrait feather encryption cpp_tests; do
    find "$packages" -path "*/pyarrow/_*$unused*.so" -delete
done
# A wheel cannot link: it holds each of these libraries up to three times.
find "$packages" \( -path '*/pyarrow/*flight*' -o -path '*/pyarrow/libarrow_s3*' \
    -o -path '*/pyarrow/libarrow_python*.so' -o -path '*/pyarrow/libarrow_python*.so.*.*.*' \) -delete
python3 shorten.py "$packages"
_KFP_RUNTIME=true "$1/bin/python" warm.py
