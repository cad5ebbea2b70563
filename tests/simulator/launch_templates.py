# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EC2 launch templates and their versions."""

from __future__ import annotations

import json
import typing as t

from simulator.errors import AwsError
from simulator.registry import apply_filters, operation, page, region_of, tag_list
from simulator.state import Cloud, LaunchTemplate, Region
from simulator.wire import Call, service_model

_Dict = dict[str, t.Any]


def find(region: Region, identifier: str | None, name: str | None) -> LaunchTemplate:
    """A template by id or name, or EC2's error."""
    if identifier:
        if identifier in region.templates:
            return region.templates[identifier]
        raise AwsError(
            "InvalidLaunchTemplateId.NotFound",
            f"The specified launch template, with template ID {identifier}, does not exist.",
        )
    for template in region.templates.values():
        if template.name == name:
            return template
    raise AwsError(
        "InvalidLaunchTemplateName.NotFoundException",
        f"The specified launch template, with template name {name}, does not exist.",
    )


def version_number(template: LaunchTemplate, wanted: str | None) -> int:
    """``3``, ``$Latest`` or ``$Default`` as a number, or EC2's error."""
    if wanted in (None, "", "$Default"):
        return template.default_version
    if wanted == "$Latest":
        return len(template.versions)
    if str(wanted).isdigit() and 1 <= int(str(wanted)) <= len(template.versions):
        return int(str(wanted))
    raise AwsError(
        "InvalidLaunchTemplateId.VersionNotFound",
        f"Could not find the specified version {wanted} for the launch template with ID {template.template_id}.",
    )


def data_of(region: Region, specification: t.Mapping[str, t.Any]) -> _Dict:
    """The launch data that a group's template specification points to."""
    template = find(region, specification.get("LaunchTemplateId"), specification.get("LaunchTemplateName"))
    return template.versions[version_number(template, specification.get("Version")) - 1][2]


def _once(cloud: Cloud, call: Call, make: t.Callable[[Region], _Dict]) -> _Dict:
    """Idempotency by ClientToken: the same request gets the same answer, another one an error."""
    region = region_of(cloud, call)
    token = call.params.get("ClientToken")
    if not token:
        return make(region)
    asked = json.dumps(call.params, sort_keys=True, default=str)
    key = (call.operation, token)
    if key in region.tokens:
        before, answer = region.tokens[key]
        if before != asked:
            raise AwsError("IdempotentParameterMismatch", "The client token was used with other parameters.")
        return answer
    answer = make(region)
    region.tokens[key] = (asked, answer)
    return answer


def _response_data(data: _Dict) -> _Dict:
    """The request's data as the response's shape has it: members that it lacks are left out."""
    model = service_model("ec2")
    assert model is not None
    known = model.shape_for("ResponseLaunchTemplateData").members
    return {key: value for key, value in data.items() if key in known}


def _describe(region: Region, template: LaunchTemplate) -> _Dict:
    return {
        "LaunchTemplateId": template.template_id,
        "LaunchTemplateName": template.name,
        "CreateTime": template.created,
        "CreatedBy": f"arn:aws:iam::{region.account}:user/operator",
        "DefaultVersionNumber": template.default_version,
        "LatestVersionNumber": len(template.versions),
        "Tags": tag_list(template.tags),
    }


def _describe_version(region: Region, template: LaunchTemplate, number: int) -> _Dict:
    created, description, data = template.versions[number - 1]
    return {
        "LaunchTemplateId": template.template_id,
        "LaunchTemplateName": template.name,
        "VersionNumber": number,
        "VersionDescription": description,
        "CreateTime": created,
        "CreatedBy": f"arn:aws:iam::{region.account}:user/operator",
        "DefaultVersion": number == template.default_version,
        "LaunchTemplateData": _response_data(data),
    }


@operation("ec2", "DescribeLaunchTemplates")
def describe_launch_templates(cloud: Cloud, call: Call) -> _Dict:
    """By id, name or filter, in pages of at most 200."""
    params = call.params
    region = region_of(cloud, call)
    chosen = list(region.templates.values())
    if params.get("LaunchTemplateIds"):
        chosen = [find(region, name, None) for name in params["LaunchTemplateIds"]]
    elif params.get("LaunchTemplateNames"):
        chosen = [find(region, None, name) for name in params["LaunchTemplateNames"]]
    extractors: dict[str, t.Callable[[t.Any], t.Iterable[str]]] = {"launch-template-name": lambda item: (item.name,)}
    chosen = apply_filters(chosen, params.get("Filters") or [], extractors, lambda item: item.tags)
    shown, token = page(chosen, params.get("MaxResults", 200), params.get("NextToken"), "InvalidNextToken")
    return {"LaunchTemplates": [_describe(region, template) for template in shown], "NextToken": token}


@operation("ec2", "DescribeLaunchTemplateVersions")
def describe_launch_template_versions(cloud: Cloud, call: Call) -> _Dict:
    """Newest first; without a template, the latest or default versions of all."""
    params = call.params
    region = region_of(cloud, call)
    wanted = params.get("Versions") or []
    if params.get("LaunchTemplateId") or params.get("LaunchTemplateName"):
        template = find(region, params.get("LaunchTemplateId"), params.get("LaunchTemplateName"))
        numbers = [version_number(template, name) for name in wanted] or list(range(len(template.versions), 0, -1))
        low = int(params.get("MinVersion", 1))
        high = int(params.get("MaxVersion", len(template.versions)))
        pairs = [(template, number) for number in numbers if low <= number <= high]
    else:
        if not wanted or not set(wanted) <= {"$Latest", "$Default"}:
            raise AwsError("MissingParameter", "Either launch template ID or launch template name must be provided.")
        pairs = [(one, version_number(one, name)) for one in region.templates.values() for name in wanted]
    shown, token = page(pairs, params.get("MaxResults", 200), params.get("NextToken"), "InvalidNextToken")
    return {
        "LaunchTemplateVersions": [_describe_version(region, one, number) for one, number in shown],
        "NextToken": token,
    }


def _dry_run(params: _Dict) -> None:
    if params.get("DryRun"):
        raise AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)


@operation("ec2", "CreateLaunchTemplate")
def create_launch_template(cloud: Cloud, call: Call) -> _Dict:
    """A template with its first version."""
    params = call.params

    def make(region: Region) -> _Dict:
        name = params["LaunchTemplateName"]
        if any(template.name == name for template in region.templates.values()):
            raise AwsError("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
        _dry_run(params)
        now = cloud.clock.now()
        tags = {
            tag["Key"]: tag["Value"]
            for one in params.get("TagSpecifications", [])
            if one.get("ResourceType") == "launch-template"
            for tag in one.get("Tags", [])
        }
        template = LaunchTemplate(
            cloud.identifier("lt"),
            name,
            now,
            [(now, params.get("VersionDescription", ""), params["LaunchTemplateData"])],
            tags=tags,
        )
        region.templates[template.template_id] = template
        call.touched(template.template_id)
        return {"LaunchTemplate": _describe(region, template)}

    return _once(cloud, call, make)


@operation("ec2", "CreateLaunchTemplateVersion")
def create_launch_template_version(cloud: Cloud, call: Call) -> _Dict:
    """A new version, from SourceVersion where one is named; the same ClientToken gives the same version."""
    params = call.params

    def make(region: Region) -> _Dict:
        template = find(region, params.get("LaunchTemplateId"), params.get("LaunchTemplateName"))
        source: _Dict = {}
        if params.get("SourceVersion"):
            source = template.versions[version_number(template, params["SourceVersion"]) - 1][2]
        _dry_run(params)
        data = {**source, **params["LaunchTemplateData"]}
        template.versions.append((cloud.clock.now(), params.get("VersionDescription", ""), data))
        call.touched(template.template_id)
        return {"LaunchTemplateVersion": _describe_version(region, template, len(template.versions))}

    return _once(cloud, call, make)


@operation("ec2", "ModifyLaunchTemplate")
def modify_launch_template(cloud: Cloud, call: Call) -> _Dict:
    """Sets the default version."""
    params = call.params

    def make(region: Region) -> _Dict:
        template = find(region, params.get("LaunchTemplateId"), params.get("LaunchTemplateName"))
        number = version_number(template, params.get("DefaultVersion"))
        _dry_run(params)
        call.touched(template.template_id, template.default_version != number)
        template.default_version = number
        return {"LaunchTemplate": _describe(region, template)}

    return _once(cloud, call, make)
