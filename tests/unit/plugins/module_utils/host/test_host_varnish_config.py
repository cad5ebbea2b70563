# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tuning changes on a host that role varnish has set up: all of it or nothing, and back again."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import host_service, host_tuned, host_varnish_config, vcl
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError, Wanted
from ansible_collections.frugal.cloud.plugins.module_utils.host_varnish_config import Layout, change, with_values

SITE = {"name": "shop", "hosts": ["shop.example"], "backends": [{"name": "web", "address": "127.0.0.1", "port": 8000}]}
DROP_IN = """\
[Service]
ExecStart=
ExecStart=/usr/sbin/varnishd -F -j none -a 127.0.0.1:6081 -s malloc,256M -s Transient=malloc,64M
"""
QUERY = {"remove": ["utm_*"], "sort": True}


class Host:
    """A host's files as the role leaves them, with a reload that can be told to fail."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.layout = Layout(
            root=str(folder / "varnish"),
            unit="",
            drop_in=str(folder / "frugal.conf"),
            keep=str(folder / "keep"),
            tuned=str(folder / "tuning"),
        )
        self.compiled: list[str] = []
        self.refuses = False
        (folder / "varnish").mkdir()
        reload = folder / "reload"
        reload.write_text(f"#!/bin/sh\necho loaded >> {folder}/loads\ntest ! -e {folder}/broken\n", encoding="utf-8")
        reload.chmod(0o755)
        self.folder = folder
        contents = {
            self.layout.vcl: vcl.render(vcl.read_sites([SITE])),
            self.layout.parameters: "param.set nuke_limit 60\n",
            self.layout.declaration: json.dumps([SITE]),
            self.layout.drop_in: DROP_IN,
        }
        # Something has to change for a record to be kept.
        for path in contents:
            pathlib.Path(path).write_text("", encoding="utf-8")
        host_service.apply(
            host_service.Request(
                root=self.layout.root,
                files=tuple(Wanted(path, text.encode(), None, 0o644, -1, -1) for path, text in contents.items()),
                reload=((str(reload),),),
                keep=self.layout.keep,
                managed_by="frugal.cloud.varnish",
            )
        )
        (folder / "loads").unlink()

    def change(self, values: dict[str, t.Any], *, check: bool = False) -> tuple[host_service.Outcome, dict[str, t.Any]]:
        return change(values, check=check, test=True, layout=self.layout)

    def files(self) -> dict[str, str]:
        paths = (
            self.layout.vcl,
            self.layout.parameters,
            self.layout.drop_in,
            host_tuned.path_of("varnish", self.layout.tuned),
        )
        return {path: pathlib.Path(path).read_text(encoding="utf-8") for path in paths if pathlib.Path(path).exists()}

    @property
    def loads(self) -> int:
        path = self.folder / "loads"
        return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)

    def compile_vcl(program: str, text: str) -> None:
        made.compiled.append(text)
        if made.refuses:
            raise HostError("varnishd refuses the VCL: nonsense")

    monkeypatch.setattr(host_varnish_config.host_service, "find_program", lambda name, path=(): f"/usr/bin/{name}")
    monkeypatch.setattr(host_varnish_config.vcl_module, "compile_vcl", compile_vcl)
    monkeypatch.setattr(
        host_varnish_config.vcl_module, "run_tests", lambda program, tests: made.compiled.append("tested")
    )
    return made


def test_a_change_is_what_the_role_would_render_and_the_way_back_leads_to_what_was(host: Host) -> None:
    before = host.files()
    outcome, tuned = host.change({"sites": {"shop": {"query_parameters": QUERY}}})
    assert outcome.changed and outcome.written == (host.layout.vcl,) and host.loads == 1
    assert tuned == host_tuned.read("varnish", host.layout.tuned) == {"sites": {"shop": {"query_parameters": QUERY}}}
    merged = vcl.merge([SITE], {"shop": {"query_parameters": QUERY}})
    assert host.files()[host.layout.vcl] == vcl.render(vcl.read_sites(merged))
    assert host.compiled[-1] == "tested"
    assert not host.change({"sites": {"shop": {"query_parameters": QUERY}}})[0].changed and host.loads == 1
    host.change({"sites": {"shop": {"grace": "1m"}}})
    host.change({"sites": {"shop": {"query_parameters": None}}})
    assert host_tuned.read("varnish", host.layout.tuned) == {"sites": {"shop": {"grace": "1m"}}}
    host.change({"sites": {"shop": {"grace": None}}})
    assert host.files() == before


def test_the_vcl_is_that_of_the_file_that_the_role_will_read(host: Host) -> None:
    """The first class of device that matches counts, and a file of JSON has its keys in order."""
    classes = {"tablet": ["*iPad*"], "mobile": ["*Mobi*"]}
    host.change({"sites": {"shop": {"ignore_vary": ["User-Agent"], "device_classes": classes}}})
    tuned = host_tuned.read("varnish", host.layout.tuned)
    assert host.files()[host.layout.vcl] == vcl.render(vcl.read_sites(vcl.merge([SITE], tuned["sites"])))


def test_parameters_and_storage_go_back_to_what_the_role_had_said(host: Host) -> None:
    before = host.files()
    host.change({"parameters": {"nuke_limit": "200", "thread_pool_min": "300"}, "storage_size": "512M"})
    files = host.files()
    assert files[host.layout.parameters] == "param.set nuke_limit 200\nparam.set thread_pool_min 300\n"
    assert "-s malloc,512M -s Transient=malloc,64M\n" in files[host.layout.drop_in]
    host.change({"parameters": {"nuke_limit": "400"}})
    host.change({"parameters": {"nuke_limit": None, "thread_pool_min": None}})
    host.change({"storage_size": None})
    assert host.files() == before


def test_what_cannot_be_compiled_or_loaded_leaves_everything_as_it_was(host: Host) -> None:
    before = host.files()
    host.refuses = True
    with pytest.raises(HostError, match="varnishd refuses the VCL"):
        host.change({"sites": {"shop": {"query_parameters": QUERY}}})
    assert host.files() == before and host.loads == 0
    host.refuses = False
    (host.folder / "broken").touch()
    with pytest.raises(HostError, match="the previous files are back"):
        host.change({"sites": {"shop": {"query_parameters": QUERY}}, "parameters": {"nuke_limit": "200"}})
    assert host.files() == before


def test_check_mode_compiles_and_writes_nothing(host: Host) -> None:
    before = host.files()
    outcome, tuned = host.change({"sites": {"shop": {"grace": "1m"}}}, check=True)
    assert outcome.changed and tuned == {"sites": {"shop": {"grace": "1m"}}} and outcome.diff
    assert host.files() == before and host.loads == 0 and len(host.compiled) == 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"storage": "1G"}, "tuned has 'storage': there are sites, parameters, storage_size"),
        ({"storage_size": "much"}, "tuned.storage_size is 'much': give a size such as 512M"),
        ({"sites": ["shop"]}, "tuned.sites is .*: give a mapping"),
        ({"sites": {"shop": "x"}}, "tuned.sites.shop is 'x': give a mapping of fields"),
        ({"sites": {"blog": {"grace": "1m"}}}, "sites has 'blog': role varnish was told of no such site"),
        ({"sites": {"shop": {"grace": "soon"}}}, "site shop: grace is 'soon': give a duration"),
        ({"parameters": {"nuke_limit": "1\nparam.set x 2"}}, "tuned.parameters has 'nuke_limit'"),
    ],
)
def test_what_no_role_would_render_is_refused(host: Host, values: dict[str, t.Any], sentence: str) -> None:
    before = host.files()
    with pytest.raises(HostError, match=sentence):
        host.change(values)
    assert host.files() == before and host.loads == 0


def test_a_host_without_the_role(tmp_path: pathlib.Path) -> None:
    layout = Layout(root=str(tmp_path), keep=str(tmp_path / "keep"), tuned=str(tmp_path / "tuning"))
    with pytest.raises(HostError, match=r"was not set up by role .* on this host: run the role first"):
        change({"storage_size": "1G"}, check=False, test=False, layout=layout)


def test_values_are_merged_field_by_field() -> None:
    before = {"sites": {"shop": {"grace": "1m"}, "blog": {"grace": "2m"}}, "parameters": {"nuke_limit": "60"}}
    after = with_values(before, {"sites": {"shop": {"grace": None, "compress": True}, "blog": {"grace": None}}})
    assert after == {"sites": {"shop": {"compress": True}}, "parameters": {"nuke_limit": "60"}}
    assert with_values(before, {"parameters": {"nuke_limit": None}}) == {"sites": before["sites"]}
