# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only file that imports optional libraries.

Each library is an attribute that is imported on first use, so that a module pays
only for what it touches and a file can be imported where the library is missing::

    from ansible_collections.frugal.cloud.plugins.module_utils import deps

    deps.numpy.zeros(3)

A missing library raises :class:`MissingLibrary`, which modules turn into
``missing_required_lib``. Nothing here may be touched while a file is being imported.
"""

from __future__ import annotations

import importlib
import traceback
import typing as t

if t.TYPE_CHECKING:
    import boto3
    import duckdb
    import ibis
    import jinja2
    import msgspec
    import numpy
    import psycopg
    import pyarrow
    import requests
    import sqlalchemy
    import yaml
    from botocore import config as botocore_config
    from botocore import credentials as botocore_credentials
    from botocore import exceptions as botocore_exceptions
    from botocore import session as botocore_session
    from botocore import utils as botocore_utils
    from google import auth as google_auth
    from google.auth import compute_engine as google_compute_engine
    from google.auth import exceptions as google_exceptions
    from google.auth.transport import requests as google_requests
    from google.oauth2 import credentials as google_credentials
    from google.oauth2 import service_account as google_service_account
    from pyspark import sql as pyspark_sql
    from scipy import stats as scipy_stats

    __all__ = [
        "boto3",
        "botocore_config",
        "botocore_credentials",
        "botocore_exceptions",
        "botocore_session",
        "botocore_utils",
        "duckdb",
        "google_auth",
        "google_compute_engine",
        "google_credentials",
        "google_exceptions",
        "google_requests",
        "google_service_account",
        "ibis",
        "jinja2",
        "msgspec",
        "numpy",
        "psycopg",
        "pyarrow",
        "pyspark_sql",
        "requests",
        "scipy_stats",
        "sqlalchemy",
        "yaml",
    ]

#: attribute -> (module to import, name of the distribution to install)
LIBRARIES: dict[str, tuple[str, str]] = {
    "boto3": ("boto3", "boto3"),
    "botocore_config": ("botocore.config", "botocore"),
    "botocore_credentials": ("botocore.credentials", "botocore"),
    "botocore_exceptions": ("botocore.exceptions", "botocore"),
    "botocore_session": ("botocore.session", "botocore"),
    "botocore_utils": ("botocore.utils", "botocore"),
    "duckdb": ("duckdb", "duckdb"),
    "google_auth": ("google.auth", "google-auth"),
    "google_compute_engine": ("google.auth.compute_engine", "google-auth"),
    "google_credentials": ("google.oauth2.credentials", "google-auth"),
    "google_exceptions": ("google.auth.exceptions", "google-auth"),
    "google_requests": ("google.auth.transport.requests", "google-auth"),
    "google_service_account": ("google.oauth2.service_account", "google-auth"),
    "ibis": ("ibis", "ibis-framework[duckdb]"),
    "jinja2": ("jinja2", "jinja2"),
    "msgspec": ("msgspec", "msgspec"),
    "numpy": ("numpy", "numpy"),
    "psycopg": ("psycopg", "psycopg[binary]"),
    "pyspark_sql": ("pyspark.sql", "pyspark"),
    "pyarrow": ("pyarrow", "pyarrow"),
    "requests": ("requests", "requests"),
    "scipy_stats": ("scipy.stats", "scipy"),
    "sqlalchemy": ("sqlalchemy", "SQLAlchemy"),
    "yaml": ("yaml", "PyYAML"),
}


class MissingLibrary(Exception):
    """An optional Python library is needed and is not installed.

    ``distribution`` is what ``pip install`` wants; ``trace`` is the import's traceback.
    """

    def __init__(self, distribution: str, trace: str) -> None:
        super().__init__(f"the Python library {distribution} is required and is not installed")
        self.distribution = distribution
        self.trace = trace


def __getattr__(name: str) -> t.Any:
    """Import the library behind ``name`` and keep it as a plain attribute."""
    try:
        module, distribution = LIBRARIES[name]
    except KeyError:
        raise AttributeError(f"deps has no library {name!r}") from None
    try:
        library = importlib.import_module(module)
    except ImportError:
        raise MissingLibrary(distribution, traceback.format_exc()) from None
    globals()[name] = library
    return library
