"""Sees to it that the images of a run are there, and maps those that are not to be had."""

from __future__ import annotations

import asyncio
import fnmatch
from collections import defaultdict
from collections.abc import Mapping

from dalsegno.engine.container import Engine, last_line
from dalsegno.errors import InputError, NotFoundError


class Images:
    """Looks each image up, and pulls one that is not there, once."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._ids: dict[str, str | NotFoundError] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def ensure(self, image: str) -> str:
        """Return the id of an image that is here now.

        Raises:
            NotFoundError: It is not here, and cannot be pulled.
        """
        async with self._locks[image]:
            if image not in self._ids:
                self._ids[image] = await self._fetch(image)
        found = self._ids[image]
        if isinstance(found, NotFoundError):
            raise NotFoundError(str(found), found.next_command)
        return found

    async def _fetch(self, image: str) -> str | NotFoundError:
        here = await self._id(image)
        if here:
            return here
        full = qualified(image)
        _, _, err = await self.engine.call("pull", "--quiet", full)
        return await self._id(full) or NotFoundError(
            f"image {image!r}: not here, and {self.engine.name} cannot pull it "
            f"({last_line(err)}), want one that is here",
            f"dalsegno run ... --image-map {image}=IMAGE",
        )

    async def _id(self, image: str) -> str | None:
        code, out, _ = await self.engine.call("image", "inspect", "--format", "{{.Id}}", image)
        return out.strip() if code == 0 else None


def qualified(image: str) -> str:
    """Complete a short name as Kubernetes does: `python:3.11` is on Docker Hub."""
    host, slash, _ = image.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"


def mapped(image: str, image_map: Mapping[str, str]) -> str:
    """Return what to use for an image: by its whole name, else by the first pattern that fits.

    A `*` in what is to be used stands for the part that the pattern's `*` stood for.
    """
    if image in image_map:
        return image_map[image]
    for pattern, target in image_map.items():
        if fnmatch.fnmatchcase(image, pattern):
            before, _, after = pattern.partition("*")
            return target.replace("*", image[len(before) : len(image) - len(after)])
    return image


def parse_image_map(given: list[str]) -> dict[str, str]:
    """Read `FROM=TO` arguments; both may hold `*`.

    Raises:
        InputError: One is not of that form, or two contradict each other.
    """
    found: dict[str, str] = {}
    for item in given:
        source, equals, target = (part.strip() for part in item.partition("="))
        if not (source and equals and target):
            raise InputError(f"--image-map: got {item!r}, want FROM=TO")
        if "*" in target and (source.count("*") != 1 or "[" in source):
            raise InputError(
                f"--image-map: got * in {target!r}, want exactly one in {source!r} too"
            )
        if found.setdefault(source, target) != target:
            raise InputError(f"--image-map: got {source!r} twice, want one image for it")
    return found
