# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One account's connection: retries, role, counting, cost cap and sentences, against a server that misbehaves."""

from __future__ import annotations

import collections
import contextlib
import http.server
import threading
import time
import typing as t
import urllib.parse
from collections.abc import Callable, Iterator

import botocore.exceptions
import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.aws import (
    API_PRICES,
    ARGUMENTS,
    MAXIMUM_ATTEMPTS,
    MAXIMUM_CONNECTION_ATTEMPTS,
    ApiCost,
    ApiCostExceeded,
    Aws,
    AwsError,
    sentence,
)

KEYS = {"aws_access_key_id": "AKIA111111111111TEST", "aws_secret_access_key": "nothing"}
#: What the server does with a request: a status and a body, or None to cut the connection.
Answer: t.TypeAlias = "tuple[int, str] | None"


def error(code: str, message: str = "no") -> str:
    """An error of the EC2 API."""
    return (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        "<RequestID>r</RequestID></Response>"
    )


STOPPED = (
    '<StopInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><instancesSet/></StopInstancesResponse>'
)
REGIONS = (
    '<DescribeRegionsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><regionInfo/></DescribeRegionsResponse>'
)
IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    "<Arn>arn:aws:sts::222222222222:assumed-role/frugal/x</Arn><UserId>U</UserId><Account>222222222222</Account>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)
ASSUMED = (
    '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
    "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
    "<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>a</Arn>"
    "<AssumedRoleId>i</AssumedRoleId></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
)


class Service:
    """An AWS on a port of its own. ``script`` is popped from; its last answer is repeated."""

    def __init__(self, script: list[Answer] | Callable[[dict[str, str], str], Answer]) -> None:
        self.script = script
        self.requests: list[dict[str, str]] = []
        self.keys: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                asked = dict(urllib.parse.parse_qsl(body))
                outer.requests.append(asked)
                authorization = self.headers.get("Authorization", "")
                outer.keys.append(authorization.partition("Credential=")[2].partition("/")[0])
                answer = outer.answer(asked, outer.keys[-1])
                if answer is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                status, text = answer
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_unused: t.Any) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_unused: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def answer(self, asked: dict[str, str], key: str) -> Answer:
        if callable(self.script):
            return self.script(asked, key)
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def connect(self, **settings: t.Any) -> Aws:
        return Aws(**{"region": "eu-west-1", "endpoint_url": self.url, "connection": KEYS, **settings})


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    with contextlib.ExitStack() as stack:

        def start(*script: Answer, by: Callable[[dict[str, str], str], Answer] | None = None) -> Service:
            service = Service(by or list(script))
            stack.callback(service.stop)
            return service

        yield start


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once; nothing of the person's own AWS settings is seen."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


# -- retries -----------------------------------------------------------------------------------------


def stop(aws: Aws) -> t.Any:
    return aws.write("ec2", "stop_instances", InstanceIds=["i-1"])


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "Throttling", "EC2ThrottledException"])
def test_a_throttled_write_is_repeated(serve: Callable[..., Service], code: str) -> None:
    service = serve((503, error(code)), (503, error(code)), (200, STOPPED))
    aws = service.connect()
    stop(aws)
    assert aws.calls == {"ec2:StopInstances": 3}


def test_a_throttled_write_is_given_up_in_the_end(serve: Callable[..., Service]) -> None:
    aws = serve((503, error("RequestLimitExceeded", "too much"))).connect()
    with pytest.raises(AwsError) as caught:
        stop(aws)
    assert not caught.value.effect_unknown
    assert caught.value.code == "RequestLimitExceeded"
    assert 2 <= aws.requests <= MAXIMUM_ATTEMPTS + 1


@pytest.mark.parametrize("assumes", [False, True])
def test_an_address_that_nobody_answers_at_is_given_up_soon(serve: Callable[..., Service], assumes: bool) -> None:
    service = serve((200, REGIONS))
    service.stop()
    aws = service.connect(role_arn="arn:aws:iam::222222222222:role/frugal" if assumes else "")
    with pytest.raises(AwsError, match="AWS cannot be reached for") as caught:
        aws.read("ec2", "describe_regions")
    assert service.url in str(caught.value)
    assert aws.requests == MAXIMUM_CONNECTION_ATTEMPTS


def test_the_external_id_is_no_secret() -> None:
    """Were it no_log, a short one would be masked wherever its letters turn up in a result."""
    assert "no_log" not in ARGUMENTS["external_id"]


@pytest.mark.parametrize("answer", [None, (500, error("InternalError")), (503, error("Unavailable"))])
def test_a_write_of_unknown_effect_is_sent_once(serve: Callable[..., Service], answer: Answer) -> None:
    service = serve(answer)
    with pytest.raises(AwsError) as caught:
        stop(service.connect())
    assert caught.value.effect_unknown
    assert len(service.requests) == 1


@pytest.mark.parametrize("code", ["InsufficientInstanceCapacity", "IncorrectInstanceState", "UnauthorizedOperation"])
def test_a_refused_write_is_sent_once_and_did_nothing(serve: Callable[..., Service], code: str) -> None:
    service = serve((400, error(code)))
    with pytest.raises(AwsError) as caught:
        stop(service.connect())
    assert not caught.value.effect_unknown
    assert caught.value.code == code
    assert len(service.requests) == 1


@pytest.mark.parametrize("answer", [None, (500, error("InternalError")), (503, error("RequestLimitExceeded"))])
def test_a_read_is_repeated_whatever_happened(serve: Callable[..., Service], answer: Answer) -> None:
    aws = serve(answer, answer, (200, REGIONS)).connect()
    assert aws.read("ec2", "describe_regions")["Regions"] == []
    assert aws.calls == {"ec2:DescribeRegions": 3}


# -- who asks ----------------------------------------------------------------------------------------


def test_a_role_is_assumed_once_and_counted(serve: Callable[..., Service]) -> None:
    def answer(asked: dict[str, str], key: str) -> Answer:
        if asked["Action"] == "AssumeRole":
            assert asked["RoleArn"] == "arn:aws:iam::222222222222:role/frugal"
            assert asked["ExternalId"] == "a-word"
            assert asked["RoleSessionName"] == "me"
            return 200, ASSUMED
        assert key == "ASIAROLE"
        return (200, IDENTITY) if asked["Action"] == "GetCallerIdentity" else (200, REGIONS)

    service = serve(by=answer)
    aws = service.connect(
        role_arn="arn:aws:iam::222222222222:role/frugal", external_id="a-word", role_session_name="me"
    )
    assert aws.account == "222222222222"
    assert aws.account == "222222222222"
    aws.read("ec2", "describe_regions")
    assert aws.calls == {"sts:AssumeRole": 1, "sts:GetCallerIdentity": 1, "ec2:DescribeRegions": 1}
    assert aws.requests == 3


def test_a_role_that_is_denied_is_named_as_such(serve: Callable[..., Service]) -> None:
    denied = (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>AccessDenied</Code>'
        "<Message>User x is not authorized.</Message></Error></ErrorResponse>"
    )
    aws = serve((403, denied)).connect(role_arn="arn:aws:iam::222222222222:role/frugal")
    with pytest.raises(AwsError, match=r"^AWS denied sts:AssumeRole \(AccessDenied: User x is not authorized\): grant"):
        assert aws.account


def test_services_are_counted_as_permissions_name_them(serve: Callable[..., Service]) -> None:
    groups = (
        '<DescribeAutoScalingGroupsResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">'
        "<DescribeAutoScalingGroupsResult><AutoScalingGroups/></DescribeAutoScalingGroupsResult>"
        "</DescribeAutoScalingGroupsResponse>"
    )
    aws = serve((200, groups)).connect()
    assert [page["AutoScalingGroups"] for page in aws.pages("autoscaling", "describe_auto_scaling_groups")] == [[]]
    assert aws.calls == {"autoscaling:DescribeAutoScalingGroups": 1}


# -- sentences ---------------------------------------------------------------------------------------


def test_no_credentials() -> None:
    with pytest.raises(AwsError, match="No AWS credentials were found: set profile, or access_key and secret_key"):
        Aws("eu-west-1").read("ec2", "describe_regions")


def test_no_credentials_to_assume_a_role_with() -> None:
    with pytest.raises(AwsError, match="No AWS credentials were found"):
        Aws("eu-west-1", role_arn="arn:aws:iam::222222222222:role/frugal").read("ec2", "describe_regions")


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(AwsError, match=r"nobody.*: name one of the profiles in ~/\.aws/config"):
        Aws("eu-west-1", connection={"profile_name": "nobody"}).read("ec2", "describe_regions")


@pytest.mark.parametrize("region", ["mars-north-1", "eu-west", "useast1"])
def test_a_region_that_is_none(region: str) -> None:
    with pytest.raises(AwsError, match=f"region '{region}' is not an AWS region that botocore knows") as caught:
        Aws(region, connection=KEYS).check_region()
    assert caught.value.code == "UnknownRegion"


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1", "cn-north-1"])
def test_regions_of_every_partition(region: str) -> None:
    Aws(region, connection=KEYS).check_region()


def test_a_server_that_is_not_there(serve: Callable[..., Service]) -> None:
    service = serve((200, REGIONS))
    service.stop()
    with pytest.raises(AwsError, match="AWS cannot be reached for ec2:StopInstances") as caught:
        stop(service.connect())
    # Nothing was sent.
    assert not caught.value.effect_unknown


def client_error(code: str, status: int = 400, operation: str = "StopInstances") -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError(
        {"Error": {"Code": code, "Message": "It is so."}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        operation,
    )


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (
            client_error("UnauthorizedOperation"),
            "AWS denied ec2:StopInstances in account 1 (UnauthorizedOperation: It is",
        ),
        (client_error("AuthFailure"), "AWS did not accept the credentials for ec2:StopInstances in account 1"),
        (client_error("ExpiredToken"), "renew or correct them"),
        (
            client_error("InvalidParameterValue"),
            "AWS refused ec2:StopInstances in account 1: InvalidParameterValue: It",
        ),
        (botocore.exceptions.NoRegionError(), "No AWS region is set: set region"),
        (ValueError("x"), "ec2:StopInstances failed in account 1: ValueError: x"),
    ],
)
def test_sentences(failure: Exception, expected: str) -> None:
    told = sentence(failure, "ec2:StopInstances", "1")
    assert expected in str(told)
    assert "\n" not in str(told)
    assert not told.effect_unknown


def test_a_sentence_is_not_wrapped_twice() -> None:
    first = AwsError("once")
    assert sentence(first, "something else") is first


# -- money -------------------------------------------------------------------------------------------


def test_money_is_counted_by_unit() -> None:
    cost = ApiCost(1.0)
    cost.charge("cloudwatch metric", 5000)
    cost.charge("Cost Explorer request", 2)
    assert cost.spent == pytest.approx(0.05 + 0.02)


def test_what_would_cost_too_much_is_refused_and_not_booked() -> None:
    cost = ApiCost(0.04)
    cost.charge("Cost Explorer request", 3)
    with pytest.raises(ApiCostExceeded, match=r"reading 2 x Cost Explorer request .* to 0.05 USD, .*\(0.04 USD\)"):
        cost.charge("Cost Explorer request", 2)
    assert cost.spent == pytest.approx(0.03)
    cost.charge("Cost Explorer request", 1)


def test_many_threads_never_pass_the_cap() -> None:
    cost = ApiCost(API_PRICES["Cost Explorer request"] * 50.5)
    results: collections.Counter[str] = collections.Counter()
    lock = threading.Lock()

    def spend() -> None:
        for _unused in range(20):
            try:
                cost.charge("Cost Explorer request", 1)
            except ApiCostExceeded:
                word = "refused"
            else:
                word = "booked"
            with lock:
                results[word] += 1

    threads = [threading.Thread(target=spend) for _unused in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {"booked": 50, "refused": 110}
