"""Conditions and expression selectors, which KFP writes in the Common Expression Language (CEL).

The driver of KFP evaluates them with cel-go; here celpy does. Parameters reach CEL as protobuf
values, so every number is a double; equality between types is false, not an error (CEL
specification, "Equality").
"""

from __future__ import annotations

import functools
import json
from typing import Any

import celpy
from celpy import celtypes

from dalsegno.errors import InputError


def condition_holds(expression: str, parameters: dict[str, Any]) -> bool:
    """Evaluate a trigger condition, such as `inputs.parameter_values['x'] == 'heads'`."""
    values = {name: _to_cel(value) for name, value in parameters.items()}
    result = _evaluate(expression, {"inputs": _map({"parameter_values": _map(values)})})
    if not isinstance(result, bool | celtypes.BoolType):
        raise InputError(f"condition {expression!r}: got {type(result).__name__}, want a boolean")
    return bool(result)


def select(expression: str, value: Any) -> Any:
    """Apply a parameter expression selector, such as `parseJson(string_value)["a"]`, to a value."""
    text = value if isinstance(value, str) else json.dumps(value)
    return _from_cel(_evaluate(expression, {"string_value": celtypes.StringType(text)}))


def _evaluate(expression: str, variables: dict[str, Any]) -> Any:
    try:
        return _program(expression).evaluate(variables)
    except celpy.CELEvalError as error:
        raise InputError(f"expression {expression!r}: {error.args[0]}") from error


@functools.lru_cache(maxsize=1024)
def _program(expression: str) -> celpy.Runner:
    environment = celpy.Environment()
    try:
        tree = environment.compile(expression)
    except celpy.CELParseError as error:
        raise InputError(f"expression {expression!r}: is not CEL ({error.args[0]})") from error
    functions = {"parseJson": _parse_json, "_==_": _equal, "_!=_": _differ}
    return environment.program(tree, functions=functions)


def _parse_json(text: celtypes.StringType) -> Any:
    return _to_cel(json.loads(text))


def _equal(left: Any, right: Any) -> Any:
    for side in (left, right):
        if isinstance(side, celpy.CELEvalError):
            return side
    return celtypes.BoolType(_plain_equal(_from_cel(left), _from_cel(right)))


def _differ(left: Any, right: Any) -> Any:
    equal = _equal(left, right)
    return equal if isinstance(equal, celpy.CELEvalError) else celtypes.BoolType(not equal)


def _plain_equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _map(values: dict[str, Any]) -> celtypes.MapType:
    return celtypes.MapType({celtypes.StringType(key): item for key, item in values.items()})


def _to_cel(value: Any) -> Any:
    if isinstance(value, dict):
        return _map({key: _to_cel(item) for key, item in value.items()})
    if isinstance(value, list):
        return celtypes.ListType([_to_cel(item) for item in value])
    if isinstance(value, bool):
        return celtypes.BoolType(value)
    if isinstance(value, int | float):
        return celtypes.DoubleType(value)
    return celtypes.StringType(value) if isinstance(value, str) else None


def _from_cel(value: Any) -> Any:
    if isinstance(value, celtypes.MapType):
        return {str(key): _from_cel(item) for key, item in value.items()}
    if isinstance(value, celtypes.ListType):
        return [_from_cel(item) for item in value]
    if isinstance(value, celtypes.BoolType | bool):
        return bool(value)
    if isinstance(value, celtypes.StringType):
        return str(value)
    if isinstance(value, celtypes.IntType | celtypes.UintType):
        return int(value)
    return float(value) if isinstance(value, celtypes.DoubleType) else value
