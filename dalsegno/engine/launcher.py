"""A container task's command line, as KFP's driver and launcher make it.

The driver resolves `IfPresent` and input parameters first (resolveContainerArgs in
backend/src/v2/driver/util.go), the launcher inside the container fills in what is left
(compileCmdAndArgs in backend/src/v2/component/launcher_v2.go). What neither of them knows stays as
it is, here as on a cluster: `Concat`, and metadata of artifacts.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from dalsegno.engine.golang import general, json_text, text_of
from dalsegno.engine.layout import container_path
from dalsegno.engine.values import normalise
from dalsegno.errors import InputError

_PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\['(.+?)'\]\}\}")
_CHANNEL = re.compile(r"\$\.inputs\.parameters\['(.+?)'\]")
_IF_PRESENT = '{"IfPresent":'
_LEFT_OVER = re.compile(r"\{\{\$[^{}]*\}\}|\{\"Concat\": ?\[")


def command_line(
    command: list[str], args: list[str], executor_input: dict[str, Any], component: dict[str, Any]
) -> list[str]:
    """Return what a container task executes: its command and arguments, filled in.

    Args:
        executor_input: As the task sees it, so with paths inside the container.
        component: Component spec; default values of its parameters apply where none is given.

    Raises:
        InputError: There is nothing to execute, or an `IfPresent` is malformed.
    """
    given = executor_input["inputs"].get("parameterValues", {})
    parts = resolve_args(command, given) + resolve_args(args, given)
    if not parts:
        raise InputError("command: got none and no arguments, want what the container executes")
    complete = with_defaults(executor_input, component)
    whole = json_text(complete, escapes_html=False)
    found = placeholders(complete)
    # The launcher fills nothing but the executor input into the command's first word.
    first = parts[0].replace("{{$}}", whole)
    return [first, *(_fill(part.replace("{{$}}", whole), found) for part in parts[1:])]


def resolve_args(args: list[str], parameters: dict[str, Any]) -> list[str]:
    """Do the driver's part: conditions and input parameters, but nothing beside an output.

    The driver does not know the default values of the component, and fails without a value.

    Raises:
        InputError: A parameter was not given, or an `IfPresent` is malformed.
    """
    resolved: list[str] = []
    for arg in args:
        if "$.outputs" in arg:
            resolved.append(arg)
        elif arg.strip().startswith(_IF_PRESENT):
            resolved += [_resolve(item, parameters) for item in _choose(arg, parameters)]
        else:
            resolved.append(_resolve(arg, parameters))
    return resolved


def resolve_text(text: str, executor_input: dict[str, Any]) -> str:
    """Resolve an image or a limit, which may be an input parameter as a whole.

    Raises:
        InputError: The parameter was not given.
    """
    channel = _CHANNEL.search(text)
    if not channel:
        return text
    given = executor_input["inputs"].get("parameterValues", {})
    if channel[1] not in given:
        raise InputError(f"{text}: got no parameter {channel[1]!r}, want one of {sorted(given)}")
    return str(given[channel[1]])


def with_defaults(executor_input: dict[str, Any], component: dict[str, Any]) -> dict[str, Any]:
    """Add the component's default values of parameters that were not given."""
    complete = copy.deepcopy(executor_input)
    values = complete["inputs"].setdefault("parameterValues", {})
    for name, definition in component.get("inputDefinitions", {}).get("parameters", {}).items():
        if definition.get("defaultValue") is not None:
            values.setdefault(name, normalise(definition["defaultValue"]))
    return complete


def placeholders(executor_input: dict[str, Any]) -> dict[str, str]:
    """List every placeholder that the launcher knows, with its text."""
    inputs, outputs = executor_input["inputs"], executor_input["outputs"]
    found: dict[str, str] = {}
    for side, group in (("inputs", inputs), ("outputs", outputs)):
        for name, listed in group.get("artifacts", {}).items():
            for artifact in listed["artifacts"][:1]:
                path = artifact.get("customPath") or container_path(artifact["uri"])
                found[f"{{{{$.{side}.artifacts['{name}'].uri}}}}"] = artifact["uri"]
                if path:
                    found[f"{{{{$.{side}.artifacts['{name}'].path}}}}"] = path
    for name, value in inputs.get("parameterValues", {}).items():
        if value is not None:
            found[f"{{{{$.inputs.parameters['{name}']}}}}"] = text_of(value)
    for name, parameter in outputs.get("parameters", {}).items():
        found[f"{{{{$.outputs.parameters['{name}'].output_file}}}}"] = parameter["outputFile"]
    return found


def left_over(parts: list[str], parameters: dict[str, Any]) -> list[str]:
    """Name what a task would see literally: placeholders that KFP fills in nowhere."""
    given = {text for text in parameters.values() if isinstance(text, str)}
    return sorted(
        {
            match[0].removesuffix("[").rstrip()
            for part in parts
            for match in _LEFT_OVER.finditer(part)
            if not any(match[0] in text for text in given)
        }
    )


def _choose(arg: str, parameters: dict[str, Any]) -> list[str]:
    try:
        condition = json.loads(arg)["IfPresent"]
        is_present = parameters.get(condition["InputName"]) is not None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"IfPresent: got {_short(arg)}, want InputName, Then and Else") from error
    chosen = condition.get("Then" if is_present else "Else")
    items = [] if chosen is None else [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise InputError(f"IfPresent: got {_short(json.dumps(chosen))}, want strings")
    return items


def _resolve(text: str, parameters: dict[str, Any]) -> str:
    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name not in parameters:
            raise InputError(
                f"parameter {name!r}: got nothing, want a value for an argument of the command. "
                "KFP's driver fills in no default values: pass it to the task"
            )
        return _driver_text(parameters[name])

    return _PARAMETER.sub(fill, text)


def _driver_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return general(value)
    return value if isinstance(value, str) else json_text(value)


def _fill(text: str, found: dict[str, str]) -> str:
    for placeholder, replacement in found.items():
        text = text.replace(placeholder, replacement)
    return text


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")  # noqa: PLR2004
