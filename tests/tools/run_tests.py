# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the tiers of tests side by side and says in a few lines how each went.

``run_tests.py`` runs all, ``run_tests.py lint types`` those named, ``--list`` shows them. Output goes to
``build/test/<tier>.log``; a failed tier's last lines are shown. A tier finds its tests by itself (a new
integration target, molecule scenario or pytest file is picked up) and is skipped, with why, while there
are none. Exit code 1 when a tier failed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import functools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import environment
import workspace

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
LOGS = BUILD / "test"
BIN = Path(sys.executable).parent
SCENARIOS = ROOT / "extensions" / "molecule"
TAIL = 60
#: a tier that takes longer hangs
TIMEOUT = 80 * 60.0
PLUGINS = "ansible_collections.frugal.cloud.plugins"

Step = t.Callable[["Run"], None]


class StepFailed(Exception):
    """A command of a tier ended with another exit code than 0."""


class NothingToTest(Exception):
    """There is nothing of a tier's kind in the checkout yet."""


@dataclasses.dataclass
class Run:
    """One tier on its way: where its output goes, and how it starts commands."""

    name: str
    log: Path
    processes: list[subprocess.Popen[bytes]] = dataclasses.field(default_factory=list)
    deadline: float = 0.0

    def say(self, text: str) -> None:
        """Add a line to the log."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(text.rstrip("\n") + "\n")

    def command(self, *words: str | Path, cwd: Path = ROOT, **environ: str | Path) -> None:
        """Run a command with its output in the log; raises StepFailed when it fails or takes too long."""
        line = " ".join(str(word) for word in words)
        self.say(f"$ {line}")
        settings = {**base_environment(), **{key: str(value) for key, value in environ.items()}}
        with self.log.open("ab") as file:
            process = subprocess.Popen(
                [str(word) for word in words],
                cwd=cwd,
                env=settings,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self.processes.append(process)
            try:
                code = process.wait(timeout=max(1.0, self.deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                end(process)
                raise StepFailed(f"took longer than {TIMEOUT:.0f} s and was ended: {line}") from None
        if code:
            raise StepFailed(f"exit code {code}: {line}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def base_environment() -> dict[str, str]:
    """The environment of every command: our tools first, no settings of the person's own Ansible or AWS."""
    private = ("ANSIBLE_", "AWS_", "FRUGAL_", "MAKE", "MFLAGS", "PYTHONPATH", "VIRTUAL_ENV")
    kept = {key: value for key, value in os.environ.items() if key == "FRUGAL_CACHE" or not key.startswith(private)}
    # One thread a process for linear algebra: tiers run side by side already.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {
        **kept,
        **threads,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(BUILD / "root"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_FORCE_COLOR": "false",
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
    }


def python(*words: str | Path) -> tuple[str | Path, ...]:
    """A command of this environment's Python."""
    return (sys.executable, *words)


def mirrored(name: str) -> Path:
    """A mirror of the checkout of its own for the tier ``name``: two runs of ansible-test do not meet."""
    return workspace.mirror(ROOT, BUILD / "workspace" / name)


def any_file(folder: str, pattern: str) -> bool:
    """Whether the checkout holds a file of this pattern below a folder."""
    return any(path.is_file() for path in (ROOT / folder).rglob(pattern))


def ansible_home() -> Path:
    """ansible-test's home folder: its own virtual environments live there and clones share them."""
    core = subprocess.run(
        python("-c", "import ansible.release as r; print(r.__version__)"), capture_output=True, text=True, check=True
    ).stdout.strip()
    home = environment.cache() / f"ansible-test-{core}-{sys.version_info[0]}.{sys.version_info[1]}"
    workspace.provide_get_pip(home)
    return home


def ansible_test(run: Run, *words: str, exclusive: bool = False) -> None:
    """Run ansible-test in the tier's own mirror; ``exclusive`` while it may make virtual environments."""
    folder = mirrored(run.name)
    home = ansible_home()
    command: tuple[str | Path, ...] = (BIN / "ansible-test", *words, "--color", "no")
    paths: dict[str, str | Path] = {
        "HOME": home,
        "PYTHONPATH": "",
        "ANSIBLE_COLLECTIONS_PATH": folder.parents[2],
    }
    if exclusive:
        with environment.locked(home / "sanity.lock"):
            run.command(*command, cwd=folder, **paths)
    else:
        run.command(*command, cwd=folder, **paths)


def version() -> str:
    """This Python's version as ansible-test names it."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


# The tiers: the docstring is what --list shows.


def lint(run: Run) -> None:
    """ruff: rules and format"""
    run.command(BIN / "ruff", "check", "--output-format", "concise", ".")
    run.command(BIN / "ruff", "format", "--check", ".")


def types(run: Run) -> None:
    """mypy --strict on what modules are made of"""
    run.command(BIN / "mypy", "-p", f"{PLUGINS}.module_utils", "-p", f"{PLUGINS}.plugin_utils")
    paths = os.pathsep.join(str(ROOT / "tests" / folder) for folder in ("tools", ""))
    run.command(BIN / "mypy", *sorted((ROOT / "tests" / "tools").glob("*.py")), MYPYPATH=paths)
    tests = "ansible_collections.frugal.cloud.tests"
    run.command(BIN / "mypy", "-p", f"{tests}.hosts", "-p", f"{tests}.kubernetes", "-p", f"{tests}.tools.dashboards")


def imports(run: Run) -> None:
    """import-linter: imports point one way"""
    run.command(BIN / "lint-imports", "--config", "pyproject.toml", "--no-cache", "--no-logo")


def unit(run: Run) -> None:
    """pytest on tests/unit"""
    if not any_file("tests/unit", "test_*.py"):
        raise NothingToTest("no file tests/unit/**/test_*.py")
    run.command(*python("-m", "pytest", "tests/unit", "-q", "-n", "2", "--durations=5", "--timeout=120"))


def ansible_lint(run: Run) -> None:
    """ansible-lint: production profile"""
    folder = mirrored(run.name)
    run.command(
        *(BIN / "ansible-lint", "--profile", "production", "--offline", "--strict", "--nocolor"),
        cwd=folder,
        ANSIBLE_COLLECTIONS_PATH=folder.parents[2],
        ANSIBLE_HOME=BUILD / "ansible-lint-home",
        PYTHONPATH="",
    )


def sanity(run: Run) -> None:
    """ansible-test sanity, no ignores"""
    ansible_test(run, "sanity", "--python", version(), exclusive=True)


def units(run: Run) -> None:
    """ansible-test units: the unit tests as ansible-test runs them"""
    if not any_file("tests/unit", "test_*.py"):
        raise NothingToTest("no file tests/unit/**/test_*.py")
    ansible_test(run, "units", "--python", version())


def integration(run: Run) -> None:
    """ansible-test integration: every target, against the simulated cloud"""
    targets = ROOT / "tests" / "integration" / "targets"
    names = sorted(path.name for path in targets.iterdir() if path.is_dir()) if targets.is_dir() else []
    if not any(not name.startswith("setup_") for name in names):
        raise NothingToTest("no target in tests/integration/targets")
    ansible_test(run, "integration", "--python", version(), "-v")


def molecule(run: Run) -> None:
    """molecule: every scenario of extensions/molecule"""
    scenarios = sorted(path.parent.name for path in SCENARIOS.glob("*/molecule.yml"))
    if not scenarios:
        raise NothingToTest("no scenario in extensions/molecule")
    for scenario in scenarios:
        molecule_scenario(run, scenario)


def molecule_scenario(run: Run, scenario: str) -> None:
    """Run one scenario in a mirror of its own: several at once do not meet, the same one waits for itself."""
    with environment.locked(BUILD / "molecule" / f"{scenario}.lock"):
        folder = mirrored(f"molecule-{scenario}")
        try:
            run.command(
                *(BIN / "molecule", "test", "--scenario-name", scenario),
                cwd=folder,
                ANSIBLE_COLLECTIONS_PATH=folder.parents[2],
                ANSIBLE_HOME=BUILD / "molecule-home",
                MOLECULE_EPHEMERAL_DIRECTORY=BUILD / "molecule" / scenario,
                PYTHONPATH="",
            )
        except StepFailed:
            # A run that was ended for taking too long left its hosts.
            run.command(*python("tests/hosts/testhosts.py", "sweep"))
            raise


def package(run: Run) -> None:
    """the built tarball, the execution environment, and the repository as an AWX project"""
    run.command(*python("-m", "pytest", "tests/package", "-q", "--durations=5", "--timeout=300"))


def importer(run: Run) -> None:
    """galaxy-importer on the tarball"""
    python_of_importer = environment.virtual_environment("importer") / "bin" / "python"
    run.command(*python("tests/tools/run_importer.py", "--importer-python", python_of_importer))


def docs(run: Run) -> None:
    """antsibull-docs and changelog lint, the roles' READMEs, and the docs site without broken references"""
    run.command(*python("tests/tools/role_readmes.py", "--check"))
    run.command(*python("tests/tools/build_docs.py", "--output", BUILD / "test" / "docs"))


def e2e(run: Run) -> None:
    """pytest on tests/e2e: the whole loop, and the report in a browser"""
    if not any_file("tests/e2e", "test_*.py"):
        raise NothingToTest("no file tests/e2e/test_*.py")
    # Two at a time: such a test waits for servers half of its time. A file's tests share what it sets up.
    run.command(
        *python("-m", "pytest", "tests/e2e", "-q", "-n", "2", "--dist", "loadfile", "--durations=5", "--timeout=900")
    )


def fetch(run: Run) -> None:
    """what test hosts need, into the cache: their root, packages, Go programs, downloads; minutes once, then nothing"""
    if os.geteuid() != 0:
        raise NothingToTest("test hosts need root")
    run.command(*python("tests/tools/go_binaries.py", "jaeger", "otelcol"))
    run.command(*python("tests/tools/host_downloads.py"))
    run.command(*python("tests/tools/environment.py", "load"))
    run.command(*python("tests/hosts/testhosts.py", "build"))
    run.command(*python("tests/tools/environment.py", "kubernetes"))
    run.command(*python("tests/tools/go_binaries.py", "helm", "kwok", "kubecp"))


#: in the order in which they start: the long ones first
TIERS: dict[str, Step] = {
    "fetch": fetch,
    "e2e": e2e,
    "molecule": molecule,
    "units": units,
    "integration": integration,
    "sanity": sanity,
    "ansible-lint": ansible_lint,
    "importer": importer,
    "docs": docs,
    "package": package,
    "unit": unit,
    "types": types,
    "lint": lint,
    "imports": imports,
}
#: run when named: units runs the same tests
ON_REQUEST = ("unit",)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a tier went."""

    name: str
    result: t.Literal["passed", "failed", "skipped"]
    seconds: float
    why: str
    log: Path


class Runner:
    """Runs tiers side by side and prints a line as each ends."""

    def __init__(self, tiers: t.Mapping[str, Step], jobs: int, logs: Path) -> None:
        self._tiers = tiers
        self._jobs = jobs
        self._logs = logs
        self._printing = threading.Lock()
        self._running: list[Run] = []

    def run(self) -> list[Outcome]:
        """Run all; returns an outcome for each, in the order of the tiers."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(self._jobs) as pool:
            futures = [pool.submit(self._one, name, step) for name, step in self._tiers.items()]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for run in self._running:
                    for process in run.processes:
                        end(process)
                raise

    def _one(self, name: str, step: Step) -> Outcome:
        log = self._logs / f"{name}.log"
        log.unlink(missing_ok=True)
        started = time.monotonic()
        run = Run(name, log, deadline=started + TIMEOUT)
        self._running.append(run)
        result: t.Literal["passed", "failed", "skipped"] = "passed"
        why = ""
        try:
            step(run)
        except NothingToTest as nothing:
            result, why = "skipped", str(nothing)
        except (StepFailed, environment.SetupError) as error:
            result, why = "failed", str(error)
            run.say(f"failed: {why}")
        except Exception as error:
            # The tools themselves are at fault: the tier is red, the others go on.
            result, why = "failed", f"{type(error).__name__}: {error}"
            run.say(f"failed: {why}")
        outcome = Outcome(name, result, time.monotonic() - started, why, log)
        with self._printing:
            print(row(outcome), flush=True)
        return outcome


def row(outcome: Outcome) -> str:
    """One line about a tier."""
    note = outcome.why if outcome.result != "passed" else ""
    return f"  {outcome.result:8}{outcome.name:14}{outcome.seconds:6.0f} s  {note}".rstrip()


def tail(path: Path, lines: int) -> str:
    """The last lines of a log, indented."""
    text = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return "\n".join(f"    {line}" for line in text[-lines:])


def report(outcomes: t.Sequence[Outcome], seconds: float) -> str:
    """The summary: failed tiers with the end of their logs, then one line a tier, then the counts."""
    parts = []
    for outcome in outcomes:
        if outcome.result == "failed":
            log = outcome.log.relative_to(ROOT) if outcome.log.is_relative_to(ROOT) else outcome.log
            parts.append(f"--- {outcome.name} failed, the end of {log}:\n{tail(outcome.log, TAIL)}\n")
    parts.append(f"Tiers, {seconds:.0f} s in all:")
    parts.extend(row(outcome) for outcome in outcomes)
    counts = {kind: sum(o.result == kind for o in outcomes) for kind in ("passed", "failed", "skipped")}
    parts.append(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the tiers of tests.")
    parser.add_argument("tiers", nargs="*", metavar="tier", help="which to run; all when none is named")
    parser.add_argument("--list", action="store_true", help="show the tiers")
    parser.add_argument("--scenario", action="append", help="run this molecule scenario only; may be given again")
    parser.add_argument("--jobs", type=int, default=max(2, os.cpu_count() or 2), help="how many side by side")
    options = parser.parse_args()
    if options.list:
        for name, step in TIERS.items():
            print(f"{name:14}{(step.__doc__ or '').strip()}")
        return 0
    unknown = sorted(set(options.tiers) - set(TIERS))
    if unknown:
        print(f"error: unknown tier {', '.join(unknown)}; there are: {', '.join(TIERS)}", file=sys.stderr)
        return 2
    wanted = options.tiers or [name for name in TIERS if name not in ON_REQUEST]
    chosen = {name: step for name, step in TIERS.items() if name in wanted}
    if options.scenario:
        absent = [name for name in options.scenario if not (SCENARIOS / name / "molecule.yml").exists()]
        if absent:
            print(f"error: no scenario {', '.join(absent)} in extensions/molecule", file=sys.stderr)
            return 2
        chosen = {f"molecule-{name}": functools.partial(molecule_scenario, scenario=name) for name in options.scenario}
    environment.link_collection()
    # A run that was killed must not leave yesterday's logs to be read as today's.
    if not options.tiers and not options.scenario:
        shutil.rmtree(LOGS, ignore_errors=True)
    # What ends this run ends what it started, too.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit("ended by SIGTERM"))
    started = time.monotonic()
    print(f"Running {', '.join(chosen)}: output in build/test/", flush=True)
    outcomes = Runner(chosen, options.jobs, LOGS).run()
    print(report(outcomes, time.monotonic() - started))
    return 1 if any(outcome.result == "failed" for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
