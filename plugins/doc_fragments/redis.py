# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that talk to Redis: ``module_utils/host_redis.py: CONNECTION``."""

from __future__ import annotations


class ModuleDocFragment:
    """``DOCUMENTATION`` is the connection, ``READING`` says how much is read, ``NODES`` how several are reached."""

    DOCUMENTATION = r"""
options:
  login_host:
    description: The server's address, as the managed host reaches it.
    type: str
    default: 127.0.0.1
  login_port:
    description: The server's port.
    type: int
    default: 6379
  login_unix_socket:
    description: Path of the server's Unix socket, in place of O(login_host) and O(login_port).
    type: path
  login_user:
    description: ACL user. The default user where it is not set.
    type: str
  login_password:
    description: The user's password.
    type: str
  tls:
    description: Whether the server wants TLS.
    type: bool
    default: false
  validate_certs:
    description: Whether the server's certificate has to be valid.
    type: bool
    default: true
  ca_certs:
    description: File on the managed host with the certificates of the authorities that are trusted.
    type: path
  client_cert_file:
    description: File on the managed host with the certificate to show.
    type: path
  client_key_file:
    description: File with the key of O(client_cert_file).
    type: path
  timeout:
    description: How long an answer is waited for, in seconds.
    type: float
    default: 10.0
"""

    READING = r"""
options:
  observe_seconds:
    description: How long the server's counters are watched, in seconds.
    type: float
    default: 6.0
  sample_keys:
    description: How many random keys are looked at, at most.
    type: int
    default: 2000
  sample_seconds:
    description: How long keys are looked at, at most, in seconds.
    type: float
    default: 5.0
  sample_megabytes:
    description: How many megabytes of elements are read to know their lengths, at most.
    type: float
    default: 16.0
  monitor_seconds:
    description: How long C(MONITOR) watches accesses, at most, in seconds. 0 never runs it.
    type: float
    default: 20.0
  monitor_megabytes:
    description: How many megabytes of commands C(MONITOR) reads, at most.
    type: float
    default: 256.0
  monitor_operations:
    description: C(MONITOR) is not begun on a server that runs more commands a second.
    type: int
    default: 50000
  monitor_slower:
    description: C(MONITOR) ends when a C(PING) takes this many times as long as before for a second.
    type: float
    default: 3.0
  trace_file:
    description:
      - File on the managed host with accesses, in place of C(MONITOR) - saved output of C(redis-cli monitor), or lines
        C(timestamp,key,key_size,value_size,client_id,operation,TTL) as in Twitter's cache traces.
    type: path
  trace_keys:
    description: How many keys the sample of accesses has, at most.
    type: int
    default: 20000
  trace_events:
    description: How many accesses the sample has, at most.
    type: int
    default: 150000
"""

    NODES = r"""
options:
  login_user:
    description: User who may administer the nodes.
    type: str
  login_password:
    description: Password of that user.
    type: str
  tls:
    description: Connect with TLS.
    type: bool
    default: false
  validate_certs:
    description: Whether the nodes' certificates have to be valid for their addresses.
    type: bool
    default: true
  ca_certs:
    description: File of the authority that signed them, on the host. The system's own by default.
    type: path
  client_cert_file:
    description: Certificate of the client.
    type: path
  client_key_file:
    description: Key of O(client_cert_file).
    type: path
"""
