# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Price List service: GetProducts, DescribeServices and GetAttributeValues for EC2."""

from __future__ import annotations

import functools
import hashlib
import json
import typing as t

from simulator import catalog, prices
from simulator.errors import AwsError
from simulator.registry import operation, page
from simulator.state import Cloud
from simulator.wire import Call

_Dict = dict[str, t.Any]

#: Region -> the name that the price list uses (its attribute ``location``).
LOCATIONS = {
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-1": "US West (N. California)",
    "us-west-2": "US West (Oregon)",
    "ca-central-1": "Canada (Central)",
    "eu-central-1": "EU (Frankfurt)",
    "eu-north-1": "EU (Stockholm)",
    "eu-west-1": "EU (Ireland)",
    "eu-west-2": "EU (London)",
    "eu-west-3": "EU (Paris)",
    "ap-south-1": "Asia Pacific (Mumbai)",
    "ap-southeast-1": "Asia Pacific (Singapore)",
    "ap-southeast-2": "Asia Pacific (Sydney)",
    "ap-northeast-1": "Asia Pacific (Tokyo)",
}
#: Endpoints of this service: https://docs.aws.amazon.com/general/latest/gr/billing.html
ENDPOINTS = ("us-east-1", "eu-central-1", "ap-south-1")
_SYSTEMS = {"Linux": "RunInstances", "Windows": "RunInstances:0002"}
_ATTRIBUTES = (
    "capacitystatus instanceType licenseModel location operatingSystem operation preInstalledSw regionCode tenancy "
    "termType usagetype vcpu memory currentGeneration instanceFamily marketoption locationType servicecode servicename"
).split()


def _code(*parts: str) -> str:
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return "".join("ABCDEFGHJKMNPQRSTUVWXYZ23456789"[byte % 31] for byte in digest[:16])


@functools.lru_cache(maxsize=32)
def _products(region: str) -> tuple[_Dict, ...]:
    """The attributes of every product that the list prices in a region."""
    rows = []
    for name in prices.priced_types():
        row, spec = catalog.raw_types()[name], catalog.spec(name)
        for system, operation_code in _SYSTEMS.items():
            if spec is None or (system == "Windows" and "x86_64" not in spec.architectures):
                continue
            rows.append(
                {
                    "instanceType": name,
                    "operatingSystem": system,
                    "operation": operation_code,
                    "regionCode": region,
                    "location": LOCATIONS[region],
                    "locationType": "AWS Region",
                    "tenancy": "Shared",
                    "preInstalledSw": "NA",
                    "capacitystatus": "Used",
                    "licenseModel": "No License required",
                    "marketoption": "OnDemand",
                    "vcpu": str(spec.vcpus),
                    "memory": f"{spec.memory_gib:g} GiB",
                    "currentGeneration": "Yes" if row["CurrentGeneration"] else "No",
                    "instanceFamily": "General purpose",
                    "usagetype": f"BoxUsage:{name}",
                    "servicecode": "AmazonEC2",
                    "servicename": "Amazon Elastic Compute Cloud",
                }
            )
    return tuple(rows)


def _term(attributes: _Dict) -> str:
    """One entry of PriceList: JSON in a string, as the real service gives it."""
    name, system = attributes["instanceType"], attributes["operatingSystem"]
    sku = _code(name, system, attributes["regionCode"])
    offer, rate = "JRTCKXETXF", "6YS6EN2CT7"  # the codes that on-demand terms carry everywhere
    published = prices.PUBLISHED.strftime("%Y-%m-%dT%H:%M:%SZ")
    price = prices.on_demand(name, system)
    return json.dumps(
        {
            "product": {
                "productFamily": "Compute Instance",
                "attributes": attributes,
                "sku": sku,
            },
            "serviceCode": "AmazonEC2",
            "terms": {
                "OnDemand": {
                    f"{sku}.{offer}": {
                        "priceDimensions": {
                            f"{sku}.{offer}.{rate}": {
                                "unit": "Hrs",
                                "endRange": "Inf",
                                "description": f"${price} per On Demand {system} {name} Instance Hour",
                                "appliesTo": [],
                                "rateCode": f"{sku}.{offer}.{rate}",
                                "beginRange": "0",
                                "pricePerUnit": {"USD": f"{price:.10f}"},
                            }
                        },
                        "sku": sku,
                        "effectiveDate": published,
                        "offerTermCode": offer,
                        "termAttributes": {},
                    }
                }
            },
            "version": prices.PUBLISHED.strftime("%Y%m%d%H%M%S"),
            "publicationDate": published,
        }
    )


def _fits(attributes: _Dict, one: _Dict) -> bool:
    value, wanted = attributes.get(one["Field"], ""), one["Value"]
    kind = one["Type"]
    if kind in ("TERM_MATCH", "EQUALS"):
        return bool(value == wanted)
    if kind == "CONTAINS":
        return wanted in value
    inside = value in wanted.split(",")
    return inside if kind == "ANY_OF" else not inside


def _endpoint(call: Call) -> None:
    if call.region not in ENDPOINTS:
        raise AwsError("AccessDeniedException", f"The Price List API has no endpoint in {call.region}.")


@operation("pricing", "GetProducts")
def get_products(_cloud: Cloud, call: Call) -> _Dict:
    """On-demand terms of Linux and Windows with shared tenancy, in pages of at most 100."""
    _endpoint(call)
    params = call.params
    if params["ServiceCode"] != "AmazonEC2":
        raise AwsError("NotFoundException", f"{params['ServiceCode']} is not a service of the price list.")
    filters = params.get("Filters", [])
    for one in filters:
        if one["Field"] not in (*_ATTRIBUTES, "ServiceCode"):
            raise AwsError("InvalidParameterException", f"Invalid filter field: {one['Field']}")
    limit = params.get("MaxResults", 100)
    if not 1 <= limit <= 100:
        raise AwsError("InvalidParameterException", "MaxResults must be between 1 and 100.")
    regions = [one["Value"] for one in filters if one["Field"] == "regionCode" and one["Type"] != "NONE_OF"]
    chosen = [region for region in LOCATIONS if not regions or any(region in value for value in regions)]
    matching = [
        attributes
        for region in chosen
        for attributes in _products(region)
        if all(_fits(attributes, one) for one in filters if one["Field"] != "ServiceCode")
    ]
    shown, token = page(matching, limit, params.get("NextToken"), "InvalidNextTokenException")
    return {"FormatVersion": "aws_v1", "PriceList": [_term(one) for one in shown], "NextToken": token}


@operation("pricing", "DescribeServices")
def describe_services(_cloud: Cloud, call: Call) -> _Dict:
    """AmazonEC2 and its attributes."""
    _endpoint(call)
    if call.params.get("ServiceCode", "AmazonEC2") != "AmazonEC2":
        raise AwsError("NotFoundException", f"{call.params['ServiceCode']} is not a service of the price list.")
    return {
        "Services": [{"ServiceCode": "AmazonEC2", "AttributeNames": sorted(_ATTRIBUTES)}],
        "FormatVersion": "aws_v1",
    }


@operation("pricing", "GetAttributeValues")
def get_attribute_values(_cloud: Cloud, call: Call) -> _Dict:
    """The values that an attribute takes in us-east-1."""
    _endpoint(call)
    name = call.params["AttributeName"]
    values = sorted({one[name] for one in _products("us-east-1") if name in one})
    if not values:
        raise AwsError("NotFoundException", f"{name} is not an attribute of AmazonEC2.")
    shown, token = page(
        values, call.params.get("MaxResults", 100), call.params.get("NextToken"), "InvalidNextTokenException"
    )
    return {"AttributeValues": [{"Value": value} for value in shown], "NextToken": token}
