# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a running Varnish: counters, parameters, VCL, and a bounded sample of its log.

Runs on managed hosts: standard library only, Python 3.9 or later, and Varnish's own tools
varnishstat, varnishadm and varnishlog.

What people send is hashed as it is read, with a key that is made for each reading and then
forgotten: values of cookies, of query parameters, of Authorization and of the headers that
Vary names. Equal values have equal hashes within one reading, which is all that the analysis
needs; nothing can be looked up from them later.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import os
import re
import select
import subprocess
import time
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import host_tuned
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_service import find_program, run, said

#: Options of the module; documented there.
OPTIONS: dict[str, dict[str, t.Any]] = {
    "instance": {"type": "str", "default": ""},
    "log_seconds": {"type": "float", "default": 30.0},
    "log_history": {"type": "bool", "default": True},
    "log_requests": {"type": "int", "default": 10000},
}
#: Options of the plugins that advise and that carry out; documented there.
ADVICE: dict[str, dict[str, t.Any]] = {
    **OPTIONS,
    "minimum_gain": {"type": "float", "default": 0.01},
    "maximum_grace": {"type": "float", "default": 3600.0},
}
TUNING: dict[str, dict[str, t.Any]] = {
    "instance": OPTIONS["instance"],
    "log_seconds": OPTIONS["log_seconds"],
    "log_requests": OPTIONS["log_requests"],
    "test": {"type": "bool", "default": True},
}
#: most that may be asked for
MOST_SECONDS = 3600.0
MOST_REQUESTS = 100000
#: Records of the log that are asked for; everything else stays in varnishd's memory.
TAGS = (
    "Begin,End,Link,Timestamp,VCL_call,VCL_return,Hit,HitMiss,HitPass,ReqMethod,ReqURL,ReqHeader,ReqAcct,"
    "RespStatus,RespHeader,BerespStatus,BerespHeader,TTL,Storage,Length,FetchError,BackendOpen,BackendReuse"
)
#: Parameters that the analysis knows how to judge, or has to know.
PARAMETERS = (
    "backend_idle_timeout",
    "default_grace",
    "default_keep",
    "default_ttl",
    "http_gzip_support",
    "http_max_hdr",
    "nuke_limit",
    "thread_pool_max",
    "thread_pool_min",
    "thread_pools",
    "thread_queue_limit",
    "vsl_reclen",
    "workspace_backend",
    "workspace_client",
)
#: where role varnish keeps what it was told, without secrets
DECLARATION = "/etc/varnish/sites.json"
#: longest text of a path, header or error that is returned (characters)
LONGEST_TEXT = 256
#: longest reading of what varnishd still has in its memory (seconds)
HISTORY_SECONDS = 60.0
#: sections of varnishstat's answer: the cache itself, storages and backends
SECTIONS = re.compile(r"^(MAIN|MGT|SMA|SMF|SMU|MSE|VBE)\.")

Hasher = t.Callable[[str], str]


@dataclasses.dataclass(frozen=True)
class Sample:
    """How much of the log to read: what is still in memory, then live for ``seconds``; the newest ``requests``."""

    seconds: float = 30.0
    requests: int = 10000
    history: bool = True


def sample_from(options: t.Mapping[str, t.Any]) -> Sample:
    """The sample that the options ask for.

    :raises HostError: when one of them cannot be used.
    """
    seconds, requests = options["log_seconds"], options["log_requests"]
    if not 0 <= seconds <= MOST_SECONDS:
        raise HostError(f"log_seconds is {seconds:g}: give 0 to {MOST_SECONDS:g}")
    if not 1 <= requests <= MOST_REQUESTS:
        raise HostError(f"log_requests is {requests}: give 1 to {MOST_REQUESTS}")
    return Sample(seconds, requests, options["log_history"])


def read(instance: str, sample: Sample) -> dict[str, t.Any]:
    """Everything the analysis asks for, of the varnishd whose working directory or name is ``instance``.

    ``window`` holds the counters' growth while the log was read live; None without that.

    :raises HostError: one sentence, when Varnish's tools are missing or varnishd does not answer.
    """
    hasher = keyed_hasher()
    parameters = read_parameters(instance)
    before = read_counters(instance)
    started = time.monotonic()
    log = read_log(instance, sample, hasher, reclen=int(float(parameters.get("vsl_reclen", 255))))
    after = read_counters(instance)
    elapsed = time.monotonic() - started
    window = None
    if sample.seconds > 0:
        window = {
            "seconds": round(elapsed, 3),
            "counters": {name: value - before.get(name, 0) for name, value in after.items() if name in before},
        }
    return {
        "version": version(),
        "listens": read_listeners(instance),
        "vcl": read_vcl(instance),
        "parameters": parameters,
        "counters": after,
        "memory": read_memory(),
        "tuned": host_tuned.read("varnish"),
        "declaration": read_declaration(),
        "window": window,
        "log": log,
    }


def keyed_hasher() -> Hasher:
    """A function that hashes texts with a key that nobody else has."""
    key = os.urandom(16)

    def hashed(text: str) -> str:
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), key=key, digest_size=5).hexdigest()

    return hashed


# --- varnishstat and varnishadm


def _tool(name: str, instance: str) -> tuple[str, ...]:
    program = find_program(name)
    if not program:
        raise HostError(f"{name} is not on this host: install Varnish first")
    return (program, "-n", instance) if instance else (program,)


def _ask(name: str, instance: str, *words: str) -> str:
    """What a tool answers.

    :raises HostError: with what it said when it fails.
    """
    code, output = run((*_tool(name, instance), *words))
    if code:
        where = f"instance {instance!r}" if instance else "the default instance"
        raise HostError(f"Varnish does not answer: {name} of {where} says {said(output) or f'exit code {code}'}")
    return output


def version() -> str:
    """Varnish's version, such as ``7.1.1``; empty where it does not say."""
    program = find_program("varnishd")
    found = re.search(r"varnish-([0-9][0-9.]*)", run((program, "-V"))[1]) if program else None
    return found[1] if found else ""


def read_counters(instance: str) -> dict[str, int]:
    """Counters and gauges by their full name. Backends' names lose the VCL's: it changes at each reload."""
    return parse_counters(_ask("varnishstat", instance, "-1", "-j"))


def parse_counters(text: str) -> dict[str, int]:
    """:func:`read_counters` of varnishstat's answer: nested since 6.5, flat before.

    :raises HostError: when it is not JSON.
    """
    try:
        data = json.loads(text)
    except ValueError:
        raise HostError(f"varnishstat -j answers something else than JSON: {said(text)[:120]}") from None
    counters: dict[str, int] = {}
    for name, entry in data.get("counters", data).items():
        if isinstance(entry, dict) and SECTIONS.match(name):
            parts = name.split(".")
            if parts[0] == "VBE":
                # VBE.<vcl>.<backend>.<counter>: a reload starts new ones at zero beside the old.
                name = ".".join(("VBE", *parts[2:]))
            counters[name] = counters.get(name, 0) + int(entry.get("value", 0))
    return counters


def read_parameters(instance: str) -> dict[str, str]:
    """Values of :data:`PARAMETERS` as varnishd writes them: seconds, bytes or numbers without their units."""
    return parse_parameters(_ask("varnishadm", instance, "param.show", "-j"))


def parse_parameters(text: str) -> dict[str, str]:
    """:func:`read_parameters` of varnishadm's answer.

    :raises HostError: when it is not JSON.
    """
    return {
        str(item["name"]): _plain(item["value"])
        for item in _cli_answer(text, "param.show")
        if item.get("name") in PARAMETERS and item.get("implemented", True) and "value" in item
    }


def _plain(value: t.Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _cli_answer(text: str, command: str) -> list[dict[str, t.Any]]:
    """The objects of a CLI answer in JSON: ``[version, [command], time, object, …]``."""
    try:
        return [item for item in json.loads(text)[3:] if isinstance(item, dict)]
    except (ValueError, TypeError):
        raise HostError(f"varnishadm {command} -j answers something else than JSON: {said(text)[:120]}") from None


def read_vcl(instance: str) -> list[dict[str, str]]:
    """Loaded VCL, by name and status."""
    items = _cli_answer(_ask("varnishadm", instance, "vcl.list", "-j"), "vcl.list")
    return [{"name": str(item.get("name", "")), "status": str(item.get("status", ""))} for item in items]


def read_listeners(instance: str) -> list[str]:
    """Where it listens, such as ``127.0.0.1:6081``; empty where it does not say."""
    code, output = run((*_tool("varnishadm", instance), "debug.listen_address"))
    if code:
        return []
    lines = (line.split() for line in output.splitlines())
    return [f"{words[1]}:{words[2]}" for words in lines if len(words) >= 3 and words[2].isdigit()]


def read_declaration(path: str = DECLARATION) -> list[dict[str, t.Any]]:
    """The sites as the role was told; none where it does not manage this Varnish.

    :raises HostError: when the file cannot be read or holds something else.
    """
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise HostError(f"{path} cannot be read as a declaration of sites: {error}") from None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise HostError(f"{path} is no declaration of sites: a list of mappings is expected")
    return found


def read_memory() -> dict[str, int]:
    """The host's memory, all of it and what could be had now (bytes); empty where the kernel does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            values = dict(line.split(":", 1) for line in file)
        return {
            "total": int(values["MemTotal"].split()[0]) * 1024,
            "available": int(values["MemAvailable"].split()[0]) * 1024,
        }
    except (OSError, KeyError, ValueError, IndexError):
        return {}


# --- varnishlog


def read_log(instance: str, sample: Sample, hasher: Hasher, reclen: int = 255) -> dict[str, t.Any]:
    """The newest requests of the log and how they were read.

    ``cut`` says that there were more requests than asked for, ``incomplete`` how many could
    not be read because varnishd had overwritten a part.

    :raises HostError: when varnishlog does not work.
    """
    found: collections.deque[dict[str, t.Any]] = collections.deque(maxlen=max(1, sample.requests))
    reader = LogReader(hasher, reclen)
    seen = 0
    live = 0
    for words, seconds in (
        (["-d"], HISTORY_SECONDS if sample.history else 0.0),
        ([], sample.seconds),
    ):
        if seconds <= 0:
            continue
        command = (*_tool("varnishlog", instance), "-g", "request", "-i", TAGS, *words)
        for record in reader.requests(_lines(command, seconds)):
            found.append(record)
            seen += 1
            live += 0 if words else 1
    requests = list(found)
    return {
        "requests": requests,
        "seen": seen,
        "live": min(live, len(requests)),
        "cut": seen > len(requests),
        "incomplete": reader.incomplete,
        "first": min((item["t"] for item in requests), default=None),
        "last": max((item["t"] for item in requests), default=None),
    }


def _lines(command: t.Sequence[str], seconds: float) -> t.Iterator[str]:
    """Lines that a command writes within ``seconds``; it is ended then.

    :raises HostError: when it ends with an error.
    """
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
    except OSError as error:
        raise HostError(f"{command[0]} cannot be run: {os.strerror(error.errno or 0)}") from None
    if process.stdout is None or process.stderr is None:
        raise HostError(f"{command[0]} cannot be read")
    deadline = time.monotonic() + seconds
    rest = b""
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                break
            data = os.read(process.stdout.fileno(), 1 << 18)
            if not data:
                if process.wait(timeout=5):
                    message = said(process.stderr.read(2000).decode("utf-8", "replace"))
                    raise HostError(f"varnishlog failed: {message or f'exit code {process.returncode}'}")
                break
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                yield line.decode("utf-8", "surrogateescape")
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()
        process.stderr.close()


@dataclasses.dataclass
class _Transaction:
    """One transaction of the log: its kind, number, why it began, and its records in order."""

    kind: str
    xid: str
    parent: str = ""
    reason: str = ""
    records: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    whole: bool = False


class LogReader:
    """Turns lines of ``varnishlog -g request`` into one plain record a client request.

    :param reclen: longest record that varnishd writes (parameter ``vsl_reclen``); what is as
        long as that has been cut off.
    """

    #: how the log calls what a lookup found, by the subroutine that the request went to
    OUTCOMES: t.ClassVar[t.Mapping[str, str]] = {
        "HIT": "hit",
        "MISS": "miss",
        "PASS": "pass",
        "PIPE": "pipe",
        "PURGE": "purge",
        "SYNTH": "synth",
    }

    def __init__(self, hasher: Hasher, reclen: int = 255) -> None:
        self._hash = hasher
        # The last byte of a record is its terminating zero.
        self._longest = max(16, reclen - 1)
        self.incomplete = 0

    def requests(self, lines: t.Iterable[str]) -> t.Iterator[dict[str, t.Any]]:
        """Records of whole groups, in the order in which they ended."""
        group: list[_Transaction] = []
        for line in lines:
            if not line:
                yield from self._group(group)
                group = []
            elif line[0] == "*":
                words = line.split()
                # "**  << BeReq    >> 3"
                group.append(_Transaction(words[2], words[-1]))
            elif line[0] == "-" and group:
                # "--  ReqURL         /p/1": dashes for the depth, the tag, then the value from a fixed column.
                parts = line.lstrip("-").strip().split(None, 1)
                if parts:
                    self._record(group[-1], parts[0], parts[1].strip() if len(parts) > 1 else "")

    def _record(self, transaction: _Transaction, tag: str, value: str) -> None:
        if tag == "Begin":
            words = value.split()
            transaction.parent = words[1] if len(words) > 1 else ""
            transaction.reason = words[2] if len(words) > 2 else ""
        elif tag == "End":
            # "synth" is what varnishlog adds where varnishd has overwritten the rest.
            transaction.whole = value != "synth"
        else:
            transaction.records.append((tag, value))

    def _group(self, group: t.Sequence[_Transaction]) -> t.Iterator[dict[str, t.Any]]:
        if not group:
            return
        if not all(transaction.whole for transaction in group):
            self.incomplete += 1
            return
        restarted = {
            transaction.parent: transaction
            for transaction in group
            if transaction.kind == "Request" and transaction.reason == "restart"
        }
        fetches: dict[str, _Transaction] = {}
        for transaction in group:
            if transaction.kind == "BeReq" and transaction.reason != "retry":
                fetches[transaction.parent] = transaction
        for transaction in group:
            if transaction.kind != "Request" or transaction.reason == "restart":
                continue
            last = transaction
            while last.xid in restarted:
                last = restarted[last.xid]
            record = self._client(transaction, last)
            if record is None:
                self.incomplete += 1
                continue
            if transaction.reason == "esi":
                record["esi"] = True
            fetch = fetches.get(last.xid)
            if fetch is not None:
                record["fetch"] = self._backend(fetch)
                if fetch.reason != "bgfetch":
                    # What was delivered is what was fetched: said once.
                    record.pop("response", None)
            yield record

    def _client(self, first: _Transaction, last: _Transaction) -> dict[str, t.Any] | None:
        """What a client asked, before VCL changed it, and what it got."""
        record: dict[str, t.Any] = {"status": 0, "outcome": "", "ttfb": 0.0}
        headers: dict[str, str] = {}
        for tag, value in first.records:
            if tag == "VCL_call":
                break
            if tag == "ReqMethod":
                record["method"] = value
            elif tag == "ReqURL":
                record["url_cut"] = len(value.encode("utf-8", "surrogateescape")) >= self._longest
                self._url(record, value)
            elif tag == "ReqHeader":
                name, value = _header(value)
                headers[name] = f"{headers[name]}; {value}" if name == "cookie" and name in headers else value
            elif tag == "Timestamp" and value.startswith("Start:"):
                record["t"] = float(value.split()[1])
        if "path" not in record or "t" not in record or "method" not in record:
            return None
        response = self._delivered(record, last)
        self._request_headers(record, headers, response.get("vary", ""))
        record["response"] = response
        return {key: value for key, value in record.items() if value not in (False, "", [], {}, None)}

    def _url(self, record: dict[str, t.Any], url: str) -> None:
        path, mark, query = url.partition("?")
        record["path"] = path[:LONGEST_TEXT]
        if mark:
            record["query_length"] = len(query)
            # Names are kept as they were sent: "%61" and "a" are different parameters to a cache.
            parameters = (part.partition("=") for part in query.split("&") if part)
            record["query"] = [
                [name[:LONGEST_TEXT], self._hash(value), len(name + equals + value)]
                for name, equals, value in parameters
            ]

    def _request_headers(self, record: dict[str, t.Any], headers: t.Mapping[str, str], vary: str) -> None:
        record["host"] = headers.get("host", "").lower()[:LONGEST_TEXT]
        cookie = headers.get("cookie", "")
        if cookie:
            record["cookies"] = [
                [name.strip()[:LONGEST_TEXT], self._hash(value.strip())]
                for name, equals, value in (part.partition("=") for part in cookie.split(";"))
                if name.strip()
            ]
            # Records are cut at vsl_reclen: there may be more cookies than one sees.
            record["cookies_cut"] = len(f"cookie: {cookie}".encode("utf-8", "surrogateescape")) >= self._longest
        record["authorization"] = "authorization" in headers
        record["device"] = device(headers.get("user-agent", ""))
        record["accept_encoding"] = encodings(headers.get("accept-encoding", ""))
        record["no_cache"] = "no-cache" in headers.get("cache-control", "") or "no-cache" in headers.get("pragma", "")
        record["range"] = "range" in headers
        record["vary"] = {
            name: self._hash(headers[name]) if name in headers else ""
            for name in (part.strip().lower() for part in vary.split(","))
            if name and name not in ("accept-encoding", "cookie", "authorization", "*")
        }

    def _delivered(self, record: dict[str, t.Any], last: _Transaction) -> dict[str, t.Any]:
        """Outcome, status, time to the first byte and the headers that were delivered."""
        response: dict[str, t.Any] = {}
        delivering = False
        for tag, value in last.records:
            if tag == "VCL_call":
                if value in self.OUTCOMES and not record["outcome"]:
                    record["outcome"] = self.OUTCOMES[value]
                delivering = delivering or value in ("DELIVER", "SYNTH")
            elif tag == "Hit":
                # "xid ttl grace keep": a negative ttl is a hit within grace, on something stale.
                record["left"] = round(float(value.split()[1]), 3) if len(value.split()) > 1 else 0.0
            elif tag in ("HitMiss", "HitPass"):
                record["outcome"] = "hit_for_miss" if tag == "HitMiss" else "hit_for_pass"
            elif tag == "RespStatus":
                record["status"] = int(value)
            elif tag == "RespHeader" and not delivering:
                self._response_header(response, *_header(value))
            elif tag == "Timestamp" and value.startswith("Process:"):
                record["ttfb"] = round(float(value.split()[2]), 6)
            elif tag == "ReqAcct":
                record["bytes"] = int(value.split()[4])
        return response

    def _backend(self, transaction: _Transaction) -> dict[str, t.Any]:
        """What was asked of the backend and what it answered, before VCL changed it."""
        fetch: dict[str, t.Any] = {"reason": transaction.reason, "status": 0, "cacheable": True}
        judged = False
        for tag, value in transaction.records:
            if tag == "VCL_call":
                judged = judged or value in ("BACKEND_RESPONSE", "BACKEND_ERROR")
            elif tag == "BerespStatus":
                fetch["status"] = fetch["status"] or int(value)
            elif tag == "BerespHeader" and not judged:
                self._response_header(fetch, *_header(value))
            elif tag == "TTL":
                words = value.split()
                # "RFC|VCL|HFP|HFM ttl grace keep reference [age date expires max-age] cacheable|uncacheable"
                if len(words) > 3 and words[0] in ("RFC", "VCL"):
                    fetch["ttl"] = [_seconds(word) for word in words[1:4]]
                    if words[0] == "RFC" and "rfc_ttl" not in fetch:
                        fetch["rfc_ttl"] = _seconds(words[1])
                fetch["cacheable"] = words[-1] != "uncacheable" and words[0] not in ("HFP", "HFM")
            elif tag == "Timestamp" and value.startswith("Beresp:"):
                fetch["ttfb"] = round(float(value.split()[2]), 6)
            elif tag == "Length":
                fetch["length"] = int(value)
            elif tag == "Storage":
                fetch["storage"] = value.split()[-1]
            elif tag == "FetchError":
                fetch["error"] = value[:LONGEST_TEXT]
            elif tag == "BackendReuse" or (tag == "BackendOpen" and value.endswith(" reuse")):
                fetch["reused"] = True
        if transaction.reason == "pass":
            fetch["cacheable"] = False
        return fetch

    def _response_header(self, response: dict[str, t.Any], name: str, value: str) -> None:
        if name == "set-cookie":
            response.setdefault("set_cookie", []).append(value.partition("=")[0].strip()[:LONGEST_TEXT])
        elif name == "etag":
            # A weak validator promises the same meaning, not the same bytes; gzip makes strong ones weak.
            response["etag"] = self._hash(value.removeprefix("W/"))
            response["weak"] = value.startswith("W/")
        elif name == "last-modified":
            response["last_modified"] = self._hash(value)
        elif name in ("content-length", "age"):
            response[name.replace("-", "_")] = int(value) if value.isdigit() else 0
        elif name == "vary":
            # Several headers of that name count as one list.
            response["vary"] = ", ".join(part for part in (response.get("vary", ""), value.lower()) if part)
        elif name in (
            "cache-control",
            "surrogate-control",
            "content-type",
            "content-encoding",
            "connection",
            "expires",
        ):
            response[name.replace("-", "_")] = value.lower()[:LONGEST_TEXT]


def _header(line: str) -> tuple[str, str]:
    name, _separator, value = line.partition(":")
    return name.strip().lower(), value.strip()


def _seconds(word: str) -> float:
    try:
        return round(float(word), 3)
    except ValueError:
        return 0.0


#: how the role's VCL tells devices apart; see its documentation
MOBILE = re.compile(r"(?i)mobi|iphone|ipod|android.*mobile|opera mini|blackberry|windows phone")
TABLET = re.compile(r"(?i)ipad|tablet|kindle|silk/|playbook|android(?!.*mobi)")
BOT = re.compile(r"(?i)bot\b|crawl|spider|slurp")


def device(user_agent: str) -> str:
    """``mobile``, ``tablet``, ``bot`` or ``desktop``: the class that a User-Agent header falls into."""
    for name, pattern in (("bot", BOT), ("tablet", TABLET), ("mobile", MOBILE)):
        if pattern.search(user_agent):
            return name
    return "desktop"


def encodings(header: str) -> str:
    """The content codings that a client takes, sorted, without weights: ``br,gzip``."""
    names = []
    for part in header.lower().split(","):
        name, _semicolon, weight = part.partition(";")
        if name.strip() and not re.match(r"\s*q\s*=\s*0(\.0*)?\s*$", weight):
            names.append(name.strip()[:16])
    return ",".join(sorted(set(names))[:8])
