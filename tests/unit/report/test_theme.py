import re

import pytest
from plotly.offline import get_plotlyjs_version

from banksim.report.charts_frame import ROLES, Theme, chart_layout, colours, plotly_js, tokens, tokens_css


def test_the_dark_theme_is_the_same_by_choice_and_by_system() -> None:
    by_system, by_choice = (
        tokens_css().split("@media (prefers-color-scheme: dark)")[1].split(':root[data-theme="dark"]')
    )
    declaration = re.compile(r"--[a-z0-9-]+: [^;]+;")
    assert declaration.findall(by_system) == declaration.findall(by_choice) != []


def test_light_roles_differ_so_that_they_can_be_swapped() -> None:
    light = colours("light")
    assert len(set(light.values())) == len(ROLES)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_meets_wcag_aa(theme: Theme) -> None:
    every = tokens(theme)
    for text in ("text", "text-muted", "accent", "fail", "warn", "pass"):
        for ground in ("page", "surface"):
            assert contrast(every[text], every[ground]) >= 4.5, (text, ground)
    for word in ("pass", "warn", "fail"):
        assert contrast(every[word], every[f"{word}-soft"]) >= 4.5, word
    assert contrast(every["on-bar"], every["bar"]) >= 4.5
    assert contrast(every["on-replay"], every["replay"]) >= 4.5
    for mark in (role for role in ROLES if role.startswith("data-") and not role.endswith("-band")):
        assert contrast(every[mark], every["surface"]) >= 3, mark


def test_the_chart_library_is_the_one_that_the_figures_are_made_for() -> None:
    head = plotly_js()[:200]
    assert f"plotly.js (basic - minified) v{get_plotlyjs_version()}" in head
    assert "MIT license" in head


def test_layouts_differ_by_theme() -> None:
    assert chart_layout("light")["font"]["color"] != chart_layout("dark")["font"]["color"]
