# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that follow the content, and what errors of the cluster say."""

from __future__ import annotations

import re

from ansible_collections.frugal.cloud.plugins.filter.content_names import content_names
from ansible_collections.frugal.cloud.plugins.filter.helm_error import helm_error


class TestContentNames:
    def test_the_same_content_has_the_same_name_in_whatever_order(self) -> None:
        one = content_names({"db": {"user": "a", "password": "b"}}, "shop")
        other = content_names({"db": {"password": "b", "user": "a"}}, "shop")
        assert one == other
        assert re.fullmatch(r"shop-db-[0-9a-f]{10}", one["db"])

    def test_other_content_has_another_name(self) -> None:
        assert content_names({"db": {"password": "b"}}, "shop") != content_names({"db": {"password": "c"}}, "shop")


class TestHelmError:
    def test_the_api_servers_words_are_taken_out_of_its_json(self) -> None:
        text = (
            'Failed to create object: {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
            '"message":"namespaces \\"fresh\\" not found","reason":"NotFound","code":404}'
        )
        assert helm_error(text) == 'the cluster refuses: namespaces "fresh" not found'

    def test_a_chart_that_is_not_there(self) -> None:
        text = 'Error: chart "shop" version "9.9.9" not found in http://127.0.0.1:1 repository\n'
        assert helm_error(text) == "chart shop has no version 9.9.9 in http://127.0.0.1:1; name one that it has"
