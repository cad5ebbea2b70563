# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries out ``helm_release``: looks by ``helm_release_info``, acts by ``kubernetes.core.helm``, and looks again.

``kubernetes.core.helm`` alone has no diff without a plugin of Helm's, takes a failed release with the wanted values for
done, and returns the values; its errors are Helm's output.
"""

from __future__ import annotations

import json
import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.frugal.cloud.plugins.module_utils.helm import Masker, merged, sentence
from ansible_collections.frugal.cloud.plugins.module_utils.helm_options import (
    COMMON_OPTIONS,
    RELEASE_OPTIONS,
    objection,
)

_Dict: t.TypeAlias = "dict[str, t.Any]"


class ActionModule(ActionBase):
    """One release."""

    TRANSFERS_FILES = True
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: _Dict | None = None) -> _Dict:
        """Look, act, look again."""
        result: _Dict = super().run(tmp, task_vars)
        self._variables: _Dict = task_vars or {}
        self._options: _Dict = self.validate_argument_spec(argument_spec=RELEASE_OPTIONS)[1]
        self._mask = Masker([self._options["secret_values"], self._options["hidden"]])
        refusal = objection(self._options)
        if refusal:
            raise AnsibleActionFail(refusal)
        try:
            result.update(self._carry_out())
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _carry_out(self) -> _Dict:
        before = self._look()
        # What failed can be removed; what is at work, or was interrupted, cannot.
        removable = self._options["state"] == "absent" and before["status"] == "failed"
        problem = "" if removable else before["problem"]
        if problem and not self._options["recover"]:
            raise AnsibleActionFail(problem)
        found = before
        recovered = ""
        if problem and not self._task.check_mode:
            recovered = self._recover(before)
            found = self._look()
        changed = bool(problem or before["changes"])
        now = found
        if found["changes"] and not self._task.check_mode:
            self._change(found)
            now = self._look(False)
        result = {key: now[key] for key in ("revision", "status", "chart", "app_version")}
        result.update(changed=changed, changes=before["changes"], recovered=recovered)
        if self._task.diff and before["comparison"]:
            header = f"release {self._options['name']} in {self._options['namespace']}"
            result["diff"] = {**before["comparison"], "before_header": header, "after_header": header}
        return result

    def _execute(self, module: str, arguments: _Dict) -> _Dict:
        answer: _Dict = self._execute_module(
            module_name=module, module_args=arguments, task_vars=self._variables, wrap_async=False
        )
        return answer

    def _look(self, wanted: bool = True) -> _Dict:
        """The release as it is; with what would change where that is ``wanted``."""
        options = {key: self._options[key] for key in COMMON_OPTIONS}
        if not wanted:
            options.update(state="present", chart=None, checksum=None, version=None)
        answer = self._execute("frugal.cloud.helm_release_info", options)
        if answer.get("failed"):
            raise AnsibleActionFail(self._mask(str(answer.get("msg") or answer)))
        return answer

    def _recover(self, before: Mapping[str, t.Any]) -> str:
        """Bring an unfinished release back to what served, or remove it; returns what was done."""
        name = self._options["name"]
        served = before["served"] if self._options["state"] == "present" else 0
        words = ["rollback", name, str(served)] if served else ["uninstall", name]
        command = [self._options["helm"], *words, "--namespace", self._options["namespace"], "--wait"]
        command += ["--timeout", f"{self._options['timeout']}s"]
        command += ["--kubeconfig", self._options["kubeconfig"]] if self._options["kubeconfig"] else []
        command += ["--kube-context", self._options["context"]] if self._options["context"] else []
        answer = self._execute("ansible.legacy.command", {"argv": command})
        if answer.get("failed") or answer.get("rc"):
            told = sentence(answer.get("stderr") or answer.get("msg") or "", self._mask)
            raise AnsibleActionFail(f"release {name} is {before['status']} and could not be recovered: {told}")
        return f"rolled back to revision {served}" if served else "removed"

    def _change(self, before: Mapping[str, t.Any]) -> None:
        options = self._options
        arguments: _Dict = {
            "release_name": options["name"],
            "release_namespace": options["namespace"],
            "release_state": options["state"],
            "wait": True,
            "kubeconfig": options["kubeconfig"],
            "context": options["context"],
        }
        if "/" in options["helm"]:
            arguments["binary_path"] = options["helm"]
        if options["state"] == "present":
            arguments.update(
                chart_ref=options["chart"],
                # In a file: what is an argument is written to the host's log.
                values_files=[self._values_file()],
                create_namespace=options["create_namespace"],
                atomic=True,
                timeout=f"{options['timeout']}s",
                history_max=options["history_max"],
                skip_crds=options["skip_crds"],
            )
        else:
            arguments["wait_timeout"] = f"{options['timeout']}s"
        answer = self._execute("kubernetes.core.helm", arguments)
        if answer.get("failed"):
            raise AnsibleActionFail(self._failure(before, answer))

    def _values_file(self) -> str:
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        folder = self._connection._shell.tmpdir
        path: str = self._connection._shell.join_path(folder, "values.json")
        values = merged(self._options["values"], self._options["secret_values"])
        self._transfer_data(path, json.dumps(values))
        self._fixup_perms2((folder, path))
        return path

    def _failure(self, before: Mapping[str, t.Any], answer: Mapping[str, t.Any]) -> str:
        """What went wrong and what serves now, as the cluster has it."""
        text = str(answer.get("stderr") or answer.get("msg") or "")
        told = sentence(text, self._mask)
        if "context deadline exceeded" in told or "timed out waiting" in told:
            told = f"not everything was ready within {self._options['timeout']} s"
        if self._options["state"] == "absent":
            return f"release {self._options['name']} could not be removed: {told}"
        try:
            now = self._look(False)
        except AnsibleActionFail as error:
            return f"release {self._options['name']}: the rollout failed: {told}; what serves now is not known: {error}"
        if not now["exists"]:
            after = "what there was of it was removed again"
        elif now["problem"]:
            after = now["problem"]
        elif now["revision"] > before["revision"]:
            after = f"it was rolled back: {now['chart']} of revision {before['served']} serves again"
        else:
            after = f"nothing was touched: revision {now['revision']} serves"
        return f"release {self._options['name']}: the rollout of {before['wanted']} failed: {told}; {after}"
