# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How gunicorn runs the shop: two processes with eight threads each, as its documentation advises for two cores."""

from __future__ import annotations

import os

bind = f"{os.environ.get('SHOP_ADDRESS', '127.0.0.1')}:{os.environ.get('SHOP_PORT', '8000')}"
workers = 2
threads = 8
worker_class = "gthread"
# The table of pages being rendered is shared by the processes.
preload_app = True
keepalive = 30
timeout = 60
graceful_timeout = 10
control_socket_disable = True
