# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SCRAM secrets, against the example of RFC 7677."""

from __future__ import annotations

import base64
import hashlib
import hmac

from ansible_collections.frugal.cloud.plugins.module_utils.host_pgbouncer import scram_matches, scram_secret

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
AUTH_MESSAGE = (
    "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
)


def test_the_keys_are_those_of_the_standard() -> None:
    secret = scram_secret("pencil", SALT)
    assert secret.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    stored, server = (base64.b64decode(key) for key in secret.rsplit("$", 1)[1].split(":"))
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    signature = hmac.new(stored, AUTH_MESSAGE.encode(), hashlib.sha256).digest()
    client_key = bytes(one ^ other for one, other in zip(proof, signature))
    assert hashlib.sha256(client_key).digest() == stored
    verifier = hmac.new(server, AUTH_MESSAGE.encode(), hashlib.sha256).digest()
    assert base64.b64encode(verifier) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_a_secret_is_known_by_its_password_alone() -> None:
    secret = scram_secret("pencil", SALT, 10)
    assert scram_matches(secret, "pencil")
    assert not scram_matches(secret, "pen")
    for other in ("", "md5c9fb6a5b", "SCRAM-SHA-256$x", "SCRAM-SHA-256$4096:!$a:b", "SCRAM-SHA-256$4096:aaaa$ab"):
        assert not scram_matches(other, "pencil")
