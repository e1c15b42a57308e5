"""Licences as packages state them, in old and new words."""

from __future__ import annotations

import pytest

from flows.licences.judging import FLAGGED, KINDS, Licence, judge

OSI = "License :: OSI Approved :: "


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("MIT", "permissive"),
        ("Apache-2.0 AND BSD-3-Clause", "permissive"),
        ("Unlicense", "permissive"),
        ("MPL-2.0", "weak copyleft"),
        ("MPL-2.0 AND MIT", "weak copyleft"),
        ("MPL-2.0 OR MIT", "permissive"),
        ("LGPL-2.1-or-later", "weak copyleft"),
        ("GPL-3.0-only", "copyleft"),
        ("AGPL-3.0-or-later OR GPL-2.0-only", "copyleft"),
        ("GPL-2.0-or-later WITH Classpath-exception-2.0", "weak copyleft"),
        ("MIT AND (GPL-3.0-only OR LicenseRef-Own)", "copyleft"),
        ("LicenseRef-NVIDIA-Proprietary", "proprietary"),
        ("LicenseRef-Own", "unknown"),
    ],
)
def test_expressions_ask_what_their_parts_ask(expression: str, kind: str) -> None:
    assert judge(expression, [], "") == Licence(expression, expression, kind)


@pytest.mark.parametrize(
    ("text", "expression", "kind"),
    [
        ("Apache 2.0", "Apache-2.0", "permissive"),
        ("apache-2.0", "Apache-2.0", "permissive"),
        ("3-Clause BSD License", "BSD-3-Clause", "permissive"),
        ("\nMIT License\n\nCopyright (c) 2022 Somebody", "MIT", "permissive"),
        ("BSD", "", "permissive"),
        ("NVIDIA Proprietary Software", "", "proprietary"),
        ("see the file LICENSE", "", "unknown"),
        ("Not-A-Licence-1.0", "", "unknown"),
        ("MIT AND", "", "unknown"),
        ("", "", "unknown"),
    ],
)
def test_free_text_is_read_where_it_can_be(text: str, expression: str, kind: str) -> None:
    licence = judge("", [], text)
    assert (licence.expression, licence.kind) == (expression, kind)


def test_the_newest_way_of_saying_it_counts() -> None:
    gpl = f"{OSI}GNU General Public License v3 (GPLv3)"
    assert judge("MIT", [gpl], "GPL").kind == "permissive"
    assert judge("", [gpl], "MIT") == Licence("GNU General Public License v3 (GPLv3)", "GPL-3.0-only", "copyleft")


def test_a_vague_classifier_gives_way_to_an_exact_text_only() -> None:
    assert judge("", [f"{OSI}BSD License"], "BSD-3-Clause").expression == "BSD-3-Clause"
    assert judge("", [f"{OSI}BSD License"], "all rights") == Licence("BSD License", "", "permissive")


def test_of_several_classifiers_the_strictest_counts() -> None:
    several = ["License :: DFSG approved", f"{OSI}MIT License", f"{OSI}Mozilla Public License 2.0 (MPL 2.0)"]
    assert judge("", several, "") == Licence("MIT License, Mozilla Public License 2.0 (MPL 2.0)", "", "weak copyleft")


def test_classifiers_that_name_no_licence_say_nothing() -> None:
    assert judge("", ["License :: OSI Approved", "Topic :: Text Processing"], "").kind == "unknown"


def test_all_but_the_permissive_are_flagged() -> None:
    assert set(KINDS) - set(FLAGGED) == {"permissive"}
