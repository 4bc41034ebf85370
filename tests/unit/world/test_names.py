from __future__ import annotations

import pytest

from banksim.model import ScenarioError
from banksim.world.population import NameBook, ascii_letters, fill_shape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("José", "jose"),
        ("Großmann", "grossmann"),
        ("O'Brien-Smith", "obriensmith"),
        ("拓真", ""),
        ("Łukasz", "ukasz"),
    ],
)
def test_ascii_letters(text: str, expected: str) -> None:
    assert ascii_letters(text) == expected


def test_a_book_is_a_function_of_locale_and_seed() -> None:
    assert NameBook.of("de_DE", 1) == NameBook.of("de_DE", 1)
    assert NameBook.of("de_DE", 1).last_names != NameBook.of("de_DE", 2).last_names


@pytest.mark.parametrize("locale", ["ja_JP", "fr_FR", "ar_SA", "el_GR"])
def test_emails_are_ascii_in_every_script(locale: str) -> None:
    book = NameBook.of(locale, 1)
    for position in range(100):
        email = book.email(position, position, position, position)
        local, _, domain = email.partition("@")
        assert email.isascii() and local.replace(".", "").isalnum() and local[0].isalpha() and "." in domain


def test_an_unknown_locale_is_told() -> None:
    with pytest.raises(ScenarioError, match="locale: 'xx_YY'"):
        NameBook.of("xx_YY", 1)


def test_shapes() -> None:
    text = fill_shape("A?-##", 2**63 + 12345)
    assert text[0] == "A" and text[1].isupper() and text[2] == "-" and text[3:].isdigit() and len(text) == 5
