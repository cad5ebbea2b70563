# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors as AWS gives them: a code, a message and an HTTP status."""

from __future__ import annotations


class AwsError(Exception):
    """An error answer of an AWS service; ``status`` is the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class EstateError(Exception):
    """The estate file, or a control request, says something that cannot be."""


class ModelMismatch(Exception):
    """The simulator built an answer that botocore's service model does not allow: a defect here."""
