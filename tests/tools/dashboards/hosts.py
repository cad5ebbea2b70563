# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts, the USE way: utilisation, saturation, errors of each resource. From node_exporter and recording rules."""

from __future__ import annotations

from ansible_collections.frugal.cloud.tests.tools.dashboards.building import (
    HOST,
    RATE,
    Dashboard,
    Panel,
    Query,
    Row,
    graph,
    share,
)

_OF = 'instance=~"$instance"'
#: file systems that hold data; the others live in memory or are read-only images
_DISKS = f'{_OF},fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|autofs"'

DASHBOARD = Dashboard(
    uid="frugal-hosts",
    title="Hosts: utilisation, saturation, errors",
    description="For processor, memory, disks and network of each host: how busy, how much waits, and what fails.",
    tags=["use"],
    variables=[HOST],
    rows=[
        Row(
            "Now",
            [
                Panel(
                    "Hosts at a glance",
                    "The latest value of each host, the busiest processor first when you click on the column.",
                    [
                        Query(f"sum by (instance) (instance:cpu_utilisation:ratio5m{{{_OF}}})", "Processor"),
                        Query(f"sum by (instance) (instance:memory_utilisation:ratio{{{_OF}}})", "Memory"),
                        Query(f"max by (instance) (instance:disk_io_utilisation:ratio5m{{{_OF}}})", "Busiest disk"),
                        Query(
                            f"max by (instance) (1 - node_filesystem_avail_bytes{{{_DISKS}}} "
                            f"/ node_filesystem_size_bytes{{{_DISKS}}})",
                            "Fullest file system",
                        ),
                    ],
                    kind="table",
                    unit="percentunit",
                    width=24,
                    steps=[0.8, 0.9],
                ),
            ],
        ),
        Row(
            "Processor",
            [
                share(
                    "Utilisation",
                    "Share of the time in which the processors work, over 5 minutes.",
                    [Query(f"instance:cpu_utilisation:ratio5m{{{_OF}}}", "{{instance}}")],
                    steps=[0.8, 0.9],
                ),
                graph(
                    "Saturation: load for each processor",
                    "Tasks that run or want to run, for each processor. Above 1, some wait.",
                    [
                        Query(f"instance:cpu_saturation:load1_per_cpu{{{_OF}}}", "{{instance}}"),
                    ],
                    unit="none",
                    steps=[1, 1.5],
                    runbook="HostCPUSaturated",
                ),
                graph(
                    "Saturation: time spent waiting",
                    "Share of the time in which at least one task waited for a processor (pressure stall information).",
                    [Query(f"rate(node_pressure_cpu_waiting_seconds_total{{{_OF}}}{RATE})", "{{instance}}")],
                    unit="percentunit",
                    steps=[0.1, 0.4],
                ),
            ],
        ),
        Row(
            "Memory",
            [
                share(
                    "Utilisation",
                    "Memory that cannot be given to a new program without swapping.",
                    [Query(f"instance:memory_utilisation:ratio{{{_OF}}}", "{{instance}}")],
                    steps=[0.85, 0.95],
                ),
                graph(
                    "Saturation: pages read back from disk",
                    "Major page faults: the memory does not hold what runs.",
                    [Query(f"instance:memory_saturation:major_page_faults_rate5m{{{_OF}}}", "{{instance}}")],
                    unit="ops",
                    steps=[500, 1000],
                    runbook="HostMemorySaturated",
                ),
                graph(
                    "Errors: programs ended for want of memory",
                    "How often the kernel ended a program to get memory back, in the hour before each point.",
                    [Query(f"increase(node_vmstat_oom_kill{{{_OF}}}[1h])", "{{instance}}")],
                    unit="none",
                    steps=[1],
                    runbook="HostOutOfMemoryKill",
                ),
            ],
        ),
        Row(
            "Disks",
            [
                graph(
                    "Utilisation",
                    "Share of the time in which a disk had something to do. SSDs serve requests side by side: full "
                    "here need not mean slow.",
                    [Query(f"instance_device:disk_io_utilisation:ratio5m{{{_OF}}}", "{{instance}} {{device}}")],
                    unit="percentunit",
                    steps=[0.8, 0.9],
                ),
                graph(
                    "Saturation: requests in the queue",
                    "Requests that a disk worked on or kept waiting, on average.",
                    [
                        Query(
                            f"instance_device:disk_io_saturation:queue_length5m{{{_OF}}}",
                            "{{instance}} {{device}}",
                        )
                    ],
                    unit="none",
                    steps=[4, 16],
                    runbook="HostDiskSaturated",
                ),
                graph(
                    "Errors: read-only or failing file systems",
                    "1: the kernel cannot write to it (any more), or cannot look at it.",
                    [
                        Query(
                            f"max by (instance, mountpoint) (node_filesystem_readonly{{{_DISKS}}} or "
                            f"node_filesystem_device_error{{{_DISKS}}})",
                            "{{instance}} {{mountpoint}}",
                        )
                    ],
                    unit="none",
                    steps=[1],
                    maximum=1,
                ),
                share(
                    "Space used",
                    "Share of each file system that is used or reserved.",
                    [
                        Query(
                            f"1 - node_filesystem_avail_bytes{{{_DISKS}}} / node_filesystem_size_bytes{{{_DISKS}}}",
                            "{{instance}} {{mountpoint}}",
                        )
                    ],
                    steps=[0.8, 0.9],
                    runbook="FilesystemAlmostFull",
                    width=12,
                ),
                Panel(
                    "Space left in 4 days",
                    "If the last 6 hours go on like this. Below zero: the file system will be full before.",
                    [
                        Query(
                            f"predict_linear(node_filesystem_avail_bytes{{{_DISKS}}}[6h], 4 * 86400)",
                            "{{instance}} {{mountpoint}}",
                        )
                    ],
                    unit="bytes",
                    steps=[0],
                    falling=True,
                    runbook="FilesystemFillingUp",
                    width=12,
                ),
            ],
        ),
        Row(
            "Network",
            [
                Panel(
                    "Utilisation",
                    "Bytes per second: received above, sent below the line.",
                    [
                        Query(
                            f"instance:network_utilisation:receive_bytes_rate5m{{{_OF}}}",
                            "{{instance}} received",
                        ),
                        Query(
                            f"-instance:network_utilisation:transmit_bytes_rate5m{{{_OF}}}",
                            "{{instance}} sent",
                        ),
                    ],
                    unit="Bps",
                ),
                graph(
                    "Saturation: packets dropped",
                    "Packets per second that a card or the kernel had no room for.",
                    [
                        Query(f"instance:network_saturation:drops_rate5m{{{_OF}}}", "{{instance}}"),
                    ],
                    unit="pps",
                    steps=[1, 10],
                    runbook="HostNetworkDropping",
                ),
                graph(
                    "Errors",
                    "Packets per second that arrived or left broken.",
                    [
                        Query(f"instance:network_errors:rate5m{{{_OF}}}", "{{instance}}"),
                    ],
                    unit="pps",
                    steps=[0.1, 1],
                ),
            ],
        ),
    ],
)
