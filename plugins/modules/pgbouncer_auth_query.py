#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the user and the function that pgbouncer's auth_query needs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbouncer_auth_query
short_description: Make the user and the function that pgbouncer's auth_query needs
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Makes a user for pgbouncer, and in each database a function C(get_auth) that this user alone may call, and that
    shows it the password hashes of users who may log in. Superusers and replication users are not shown.
  - The password is stored as a SCRAM secret, made on the host; PostgreSQL never sees it in clear text.
  - Needs C(psql) and nothing but Python 3.9 on the host.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.postgres
attributes:
  platform:
    description: Where it runs - on a host with psql that reaches the server as a superuser.
options:
  user:
    description: The user that pgbouncer logs in as to look up others, C(auth_user).
    type: str
    default: pgbouncer
  password:
    description: Its password. Required with O(state=present).
    type: str
  schema:
    description: Schema of the function.
    type: str
    default: pgbouncer
  databases:
    description: Databases that clients reach through pgbouncer; each needs the function.
    type: list
    elements: str
    required: true
  state:
    description: Whether user and function shall be there.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Let pgbouncer look up the shop's users
  frugal.cloud.pgbouncer_auth_query:
    system_user: postgres
    password: "{{ pgbouncer_auth_password }}"
    databases: [shop]
"""

RETURN = r"""
statements:
  description: What was executed, or in check mode would be, by database; without secrets.
  returned: success
  type: dict
  sample: {postgres: ['CREATE ROLE "pgbouncer" LOGIN PASSWORD ...']}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import host_pgbouncer, host_postgres_options
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError


def main() -> None:
    """Arguments, one comparison, what is missing, exit."""
    module = AnsibleModule(
        argument_spec={
            **host_postgres_options.POSTGRES,
            "user": {"type": "str", "default": "pgbouncer"},
            "password": {"type": "str", "no_log": True},
            "schema": {"type": "str", "default": "pgbouncer"},
            "databases": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["password"])],
        supports_check_mode=True,
    )
    options = module.params
    wanted = host_pgbouncer.Wanted(
        user=options["user"],
        password=options["password"] or "",
        schema=options["schema"],
        databases=tuple(dict.fromkeys(options["databases"])),
    )
    try:
        connection = host_postgres_options.server(options)
        if options["state"] == "present":
            steps = host_pgbouncer.present(connection, wanted)
        else:
            steps = host_pgbouncer.absent(connection, wanted)
        if not module.check_mode:
            host_pgbouncer.carry_out(connection, steps)
    except HostError as error:
        module.fail_json(msg=str(error))
    shown = [(step.database, line) for step in steps for line in step.shown]
    module.exit_json(
        changed=bool(steps),
        statements={step.database: [line for database, line in shown if database == step.database] for step in steps},
        diff={"before": "", "after": "".join(f"{database}: {line}\n" for database, line in shown)},
    )


if __name__ == "__main__":
    main()
