"""Which image is used for another, by `--image-map`."""

from __future__ import annotations

import pytest

from dalsegno import images
from dalsegno.engine.pull import mapped, parse_image_map
from dalsegno.errors import InputError


@pytest.mark.parametrize(
    ("given", "image", "used"),
    [
        (["a:1=b:2"], "a:1", "b:2"),
        (["a:1=b:2"], "a:10", "a:10"),
        (["a*=b"], "a:10", "b"),
        (["a*=b", "*=c", "a:1=d"], "a:1", "d"),
        (["r/*=s/t/*"], "r/x/y:1", "s/t/x/y:1"),
        (["r/*:1=s/*:2"], "r/x:1", "s/x:2"),
        (["r/*:1=s/*:2"], "r/x:3", "r/x:3"),
        (["*=s/*-*"], "x", "s/x-x"),
        (["r/*=s/*"], "r/", "s/"),
    ],
)
def test_image_is_mapped_by_name_or_first_pattern(given, image, used):
    assert mapped(image, parse_image_map(given)) == used


def test_one_pattern_moves_all_our_images_to_a_registry():
    option = f"{images.PREFIX}/*:{images.DATA.rpartition(':')[2]}=registry.example/team/*:new"
    found = [mapped(image, parse_image_map([option])) for image in images.FAMILIES.values()]
    names = [image.rpartition("/")[2].partition(":")[0] for image in images.FAMILIES.values()]
    assert found == [f"registry.example/team/{name}:new" for name in names]


@pytest.mark.parametrize("source", ["a", "*/*", "[ab]*"])
def test_star_without_one_to_stand_for_is_refused(source):
    with pytest.raises(InputError, match=r"got \* in 'b/\*', want exactly one in"):
        parse_image_map([f"{source}=b/*"])


@pytest.mark.parametrize("item", ["a", "a=", "=b", ""])
def test_map_of_another_form_is_refused(item):
    with pytest.raises(InputError, match="want FROM=TO"):
        parse_image_map([item])
