"""Codes: every number of a shape is one code, and a configuration that makes no codes is refused by name."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.codes import CHARSET, DEFAULT_SHAPE, CodeShape, check_code, code_shape
from counterfoil.errors import InvalidInput

LETTERS = st.text(st.characters(codec="ascii", exclude_characters="#", categories=("Lu", "Ll", "Nd", "Pd")), max_size=6)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    config: dict[str, Any] = {"charset": draw(LETTERS.filter(bool)), "prefix": draw(LETTERS), "postfix": draw(LETTERS)}
    if draw(st.booleans()):
        config["pattern"] = "".join(draw(st.lists(LETTERS | st.just("#"), max_size=4))) + "#"
    else:
        config["length"] = draw(st.integers(1, 10))
    return config


@given(configs(), st.data())
def test_every_number_is_one_code_of_the_shape(config: dict[str, Any], data: st.DataObject) -> None:
    shape = code_shape(config)
    numbers = data.draw(st.sets(st.integers(0, shape.capacity - 1), max_size=50))
    codes = {shape.code(number) for number in numbers}
    assert len(codes) == len(numbers)
    anything = f"[{re.escape(config['charset'])}]"
    pattern = config.get("pattern", "#" * config.get("length", 0))
    body = re.escape(pattern).replace(re.escape("#"), anything)
    expected = re.compile(re.escape(config["prefix"]) + body + re.escape(config["postfix"]))
    assert all(expected.fullmatch(code) for code in codes)


def test_the_last_number_and_the_first_differ_and_the_next_is_refused() -> None:
    shape = CodeShape(charset="01", pattern="A##")
    assert [shape.code(number) for number in range(shape.capacity)] == ["A00", "A10", "A01", "A11"]
    with pytest.raises(AssertionError):
        shape.code(4)


@pytest.mark.parametrize("config", [None, {}, {"length": 8}, {"length": 8.0}, {"pattern": None, "prefix": ""}])
def test_what_is_left_out_is_the_default(config: dict[str, Any] | None) -> None:
    assert code_shape(config) == DEFAULT_SHAPE
    assert len(DEFAULT_SHAPE.code(0)) == 8
    assert DEFAULT_SHAPE.charset == CHARSET


def test_a_letter_named_twice_is_no_likelier_than_the_others() -> None:
    assert code_shape({"charset": "aab", "length": 3}).capacity == 8


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"length": 0}, "code_config.length"),
        ({"length": -1}, "code_config.length"),
        ({"length": 257}, "code_config.length"),
        ({"length": 1.5}, "code_config.length"),
        ({"length": float("nan")}, "code_config.length"),
        ({"length": "8"}, "code_config.length"),
        ({"length": True}, "code_config.length"),
        ({"charset": 7}, "code_config.charset"),
        ({"pattern": "PROMO"}, "code_config.pattern"),
        ({"pattern": ["#"]}, "code_config.pattern"),
        ({"prefix": {}}, "code_config.prefix"),
        ({"prefix": "x" * 250, "length": 10}, "code_config"),
        ({"prefix": " "}, "code_config"),
        ({"charset": "a\nb"}, "code_config.charset"),
        ({"charset": "a b"}, "code_config.charset"),
    ],
)
def test_a_configuration_that_makes_no_codes_is_refused_by_name(config: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        code_shape(config)
    assert (refused.value.code, refused.value.field) == ("invalid_code_config", field)


@pytest.mark.parametrize("code", ["", " a", "a ", "a\tb", "a\0", "x" * 257])
def test_a_code_that_nobody_could_type_is_refused(code: str) -> None:
    with pytest.raises(InvalidInput):
        check_code(code, "code")


@pytest.mark.parametrize("code", ["a", "SUMMER/24", "50% off", "żółw", "x" * 256])
def test_other_codes_are_taken_as_they_are(code: str) -> None:
    assert check_code(code, "code") == code
