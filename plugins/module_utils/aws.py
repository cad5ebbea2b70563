# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS: arguments, one session, retries, call counter, cost cap and error sentences.

``Aws`` knows boto3 and no Ansible; ``AwsModule`` is what modules use: amazon.aws' own
options and behaviour, plus role assumption that refreshes itself.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import functools
import threading
import typing as t
from collections.abc import Callable, Iterator, Mapping

from ansible_collections.amazon.aws.plugins.module_utils.botocore import get_aws_connection_info
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.frugal.cloud.plugins.module_utils import deps

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "role_arn": {"type": "str"},
    # No secret (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html).
    "external_id": {"type": "str"},
    "role_session_name": {"type": "str", "default": "frugal-cloud"},
    "max_api_cost": {"type": "float", "default": 5.0},
}

#: USD per unit, us-east-1 list price; https://aws.amazon.com/cloudwatch/pricing/ and
#: https://aws.amazon.com/aws-cost-management/aws-cost-explorer/pricing/.
#: A metric is counted for every statistic, which is never less than what AWS bills.
API_PRICES: dict[str, float] = {
    "cloudwatch metric": 0.01 / 1000,
    "ListMetrics request": 0.01 / 1000,
    "Cost Explorer request": 0.01,
}

MAXIMUM_ATTEMPTS = 10
#: Tries where not even a connection comes about: a wrong address does not get better by waiting.
MAXIMUM_CONNECTION_ATTEMPTS = 3
MAXIMUM_CONNECTIONS = 10

#: AWS refused for now and did nothing; botocore's own list of such codes.
#: https://boto3.amazonaws.com/v1/documentation/api/latest/guide/retries.html
THROTTLED = {
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
}
#: Operations that IAM knows by another name than their own: what has to be granted for them.
#: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbudgetservice.html
IAM_ACTIONS = {
    **dict.fromkeys(
        (
            "budgets:CreateBudget",
            "budgets:CreateNotification",
            "budgets:CreateSubscriber",
            "budgets:DeleteBudget",
            "budgets:DeleteNotification",
            "budgets:DeleteSubscriber",
            "budgets:UpdateBudget",
            "budgets:UpdateNotification",
            "budgets:UpdateSubscriber",
        ),
        "budgets:ModifyBudget",
    ),
    **dict.fromkeys(
        (
            "budgets:DescribeBudgetNotificationsForAccount",
            "budgets:DescribeBudgets",
            "budgets:DescribeSubscribersForNotification",
        ),
        "budgets:ViewBudget",
    ),
    "resourcegroupstaggingapi:GetResources": "tag:GetResources",
    "resourcegroupstaggingapi:TagResources": "tag:TagResources",
    "resourcegroupstaggingapi:UntagResources": "tag:UntagResources",
}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "UnauthorizedAccess",
    "OptInRequired",
}
_BAD_CREDENTIALS = {
    "AuthFailure",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
}


class AwsError(Exception):
    """One sentence that an operator can act on; ``code`` is AWS' error code where there is one.

    ``effect_unknown`` is true where the connection broke after a request may have
    taken effect, so that only re-reading the resource can tell.
    """

    def __init__(self, message: str, code: str = "", effect_unknown: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.effect_unknown = effect_unknown


class ApiCostExceeded(AwsError):
    """The next paid calls would cost more than ``max_api_cost`` allows."""


class ApiCost:
    """Counts what paid calls cost (USD) and refuses to go over ``limit``; thread-safe."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._spent: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()

    @property
    def spent(self) -> float:
        """USD so far, at list price and without the free tier."""
        return sum(API_PRICES[unit] * count for unit, count in self._spent.items())

    def charge(self, unit: str, count: int) -> None:
        """Book ``count`` units before they are requested.

        :raises ApiCostExceeded: when the total would pass the limit; nothing is booked then.
        """
        with self._lock:
            total = self.spent + API_PRICES[unit] * count
            if total > self.limit:
                raise ApiCostExceeded(
                    f"reading {count} x {unit} would bring this run's paid API calls to {_cents(total)} USD, more than "
                    f"max_api_cost ({_cents(self.limit)} USD): raise max_api_cost, shorten the list of metrics or "
                    "filter the instances"
                )
            self._spent[unit] += count


def _cents(amount: float) -> str:
    """``1.25``, or ``0.0024`` where cents would not show it."""
    return f"{amount:.2f}" if amount >= 0.1 else f"{amount:.2g}"


def sentence(error: BaseException, doing: str, account: str = "") -> AwsError:
    """Turn a botocore exception into one sentence about what failed, ``doing`` what, and what to do."""
    exceptions = deps.botocore_exceptions
    where = f" in account {account}" if account else ""
    if isinstance(error, AwsError):
        return error
    if isinstance(error, exceptions.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        message = str(error.response.get("Error", {}).get("Message", "")).strip().rstrip(".")
        if error.operation_name == "AssumeRole":
            # The role is assumed by the first call of something else.
            doing = "sts:AssumeRole"
        if code in _DENIED:
            doing = IAM_ACTIONS.get(doing, doing)
            return AwsError(f"AWS denied {doing}{where} ({code}: {message}): grant that permission to the caller", code)
        if code in _BAD_CREDENTIALS:
            return AwsError(
                f"AWS did not accept the credentials for {doing}{where} ({code}: {message}): renew or correct them",
                code,
            )
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))
        # A server error that is no throttling may have come after the change; that there is no
        # capacity is one, too (EC2 API reference, "Server error codes"), but says that nothing was done.
        unknown = status >= 500 and code not in THROTTLED and not code.startswith("Insufficient")
        return AwsError(f"AWS refused {doing}{where}: {code}: {message}", code, effect_unknown=unknown)
    if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
        return AwsError(
            "No AWS credentials were found: set profile, or access_key and secret_key, or the AWS_* environment "
            "variables, or run where an instance or container role gives them",
            "NoCredentials",
        )
    if isinstance(error, exceptions.ProfileNotFound):
        return AwsError(f"{error}: name one of the profiles in ~/.aws/config", "ProfileNotFound")
    if isinstance(error, exceptions.NoRegionError):
        return AwsError("No AWS region is set: set region, or AWS_REGION, or a region in the profile", "NoRegion")
    if isinstance(error, (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError)):
        return AwsError(f"AWS cannot be reached for {doing}{where}: {error}", "EndpointConnectionError")
    if isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError)):
        return AwsError(f"the connection broke during {doing}{where}: {error}", "ConnectionBroken", effect_unknown=True)
    return AwsError(f"{doing} failed{where}: {type(error).__name__}: {error}")


class _WhenThrottled(AWSRetry):  # type: ignore[misc]
    """Repeats a call only where AWS throttled it: any other error may have come after the change."""

    @staticmethod
    def found(response_code: str, catch_extra_error_codes: t.Sequence[str] | None = None) -> bool:
        """Whether the error code says that nothing was done."""
        return response_code in THROTTLED


@dataclasses.dataclass
class Aws:
    """One account in one region: clients that count their calls.

    ``connection`` holds what amazon.aws hands to boto3 (keys or profile, verify, config).
    Reads are retried by botocore; writes only where AWS said that it did nothing
    (throttled), because a repeated write after a broken connection could act twice.
    """

    region: str
    endpoint_url: str | None = None
    connection: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    role_arn: str = ""
    external_id: str = ""
    role_session_name: str = "frugal-cloud"
    cost: ApiCost = dataclasses.field(default_factory=lambda: ApiCost(float("inf")))
    calls: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    _clients: dict[tuple[str, str, bool, object], t.Any] = dataclasses.field(default_factory=dict)
    _session: t.Any = None
    _account: str = ""

    def check_region(self) -> None:
        """:raises AwsError: when botocore knows no region of that name."""
        core = self.session._session
        known = {
            name
            for partition in core.get_available_partitions()
            for name in core.get_available_regions("ec2", partition_name=partition)
        }
        if self.region not in known:
            raise AwsError(
                f"region {self.region!r} is not an AWS region that botocore knows: "
                "use a name such as eu-central-1, or update boto3",
                "UnknownRegion",
            )

    @property
    def session(self) -> t.Any:
        """The boto3 session, with the role assumed; its credentials refresh themselves."""
        if self._session is None:
            with guarded("opening the AWS session"):
                source = deps.boto3.session.Session(
                    profile_name=self.connection.get("profile_name"),
                    aws_access_key_id=self.connection.get("aws_access_key_id"),
                    aws_secret_access_key=self.connection.get("aws_secret_access_key"),
                    aws_session_token=self.connection.get("aws_session_token"),
                    region_name=self.region,
                )
                self._session = self._assume_role(source) if self.role_arn else source
                parsers = self._session._session.get_component("response_parser_factory")
                parsers.set_parser_defaults(timestamp_parser=_moment)
        return self._session

    def _assume_role(self, source: t.Any) -> t.Any:
        found = source.get_credentials()
        if found is None:
            raise deps.botocore_exceptions.NoCredentialsError()

        def create_client(service: str, **arguments: t.Any) -> t.Any:
            arguments.setdefault("endpoint_url", self.endpoint_url)
            client = source.client(
                service, verify=self.connection.get("verify"), config=self._configuration(False), **arguments
            )
            self._follow(client, service)
            return client

        extra: dict[str, t.Any] = {"RoleSessionName": self.role_session_name}
        if self.external_id:
            extra["ExternalId"] = self.external_id
        fetcher = deps.botocore_credentials.AssumeRoleCredentialFetcher(
            client_creator=create_client, source_credentials=found, role_arn=self.role_arn, extra_args=extra
        )
        core = deps.botocore_session.get_session()
        core._credentials = deps.botocore_credentials.DeferredRefreshableCredentials(
            refresh_using=fetcher.fetch_credentials, method="assume-role"
        )
        core.set_config_variable("region", self.region)
        return deps.boto3.session.Session(botocore_session=core)

    def _configuration(self, writing: bool) -> t.Any:
        config = deps.botocore_config.Config(
            user_agent_extra="frugal.cloud",
            max_pool_connections=MAXIMUM_CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": 1 if writing else MAXIMUM_ATTEMPTS},
        )
        given = self.connection.get("aws_config")
        return config.merge(given) if given is not None else config

    def client(
        self,
        service: str,
        region: str = "",
        writing: bool = False,
        prepare: Callable[[t.Any], None] | None = None,
    ) -> t.Any:
        """A client of ``service``, made once; ``writing`` clients do not retry broken connections.

        ``prepare`` is called on a client of its own, once.
        """
        key = (service, region or self.region, writing, prepare)
        with self._lock:
            if key not in self._clients:
                client = self.session.client(
                    service,
                    region_name=region or self.region,
                    endpoint_url=self.endpoint_url,
                    verify=self.connection.get("verify"),
                    config=self._configuration(writing),
                )
                self._follow(client, service)
                if prepare is not None:
                    prepare(client)
                self._clients[key] = client
            return self._clients[key]

    def _follow(self, client: t.Any, service: str) -> None:
        """Count the requests of ``client``, and give an address up that nobody answers at."""
        client.meta.events.register("before-send", functools.partial(self._count, service))
        client.meta.events.register_first("needs-retry", _give_up_unreachable)

    def _count(self, service: str, event_name: str = "", **_unused: t.Any) -> None:
        # The event names the service in botocore's own way (auto-scaling); users know it as in IAM policies.
        operation = event_name.rpartition(".")[2]
        with self._lock:
            self.calls[f"{service}:{operation}"] += 1

    @property
    def requests(self) -> int:
        """HTTP requests sent so far, retries included."""
        return sum(self.calls.values())

    def account_of_calls(self) -> dict[str, t.Any]:
        """What modules return as ``api``: requests, their cost (USD) and how many of each operation."""
        return {
            "requests": self.requests,
            "cost": round(self.cost.spent, 4),
            "calls": dict(sorted(self.calls.items())),
        }

    @property
    def account(self) -> str:
        """The account number, from sts:GetCallerIdentity."""
        if not self._account:
            self._account = self.read("sts", "get_caller_identity")["Account"]
        return self._account

    def read(
        self,
        service: str,
        method: str,
        region: str = "",
        prepare: Callable[[t.Any], None] | None = None,
        **arguments: t.Any,
    ) -> t.Any:
        """Call a reading operation. :raises AwsError: one sentence."""
        with guarded(f"{service}:{_operation(method)}", self._account):
            return getattr(self.client(service, region, prepare=prepare), method)(**arguments)

    def pages(
        self,
        service: str,
        method: str,
        region: str = "",
        prepare: Callable[[t.Any], None] | None = None,
        **arguments: t.Any,
    ) -> Iterator[dict[str, t.Any]]:
        """Yield the pages of a reading operation, as they come. :raises AwsError: one sentence."""
        with guarded(f"{service}:{_operation(method)}", self._account):
            yield from self.client(service, region, prepare=prepare).get_paginator(method).paginate(**arguments)

    def write(self, service: str, method: str, region: str = "", /, **arguments: t.Any) -> t.Any:
        """Call a changing operation once; repeat it only where AWS throttled it.

        :raises AwsError: one sentence; ``effect_unknown`` when the connection broke.
        """
        with guarded(f"{service}:{_operation(method)}", self._account):
            call = _WhenThrottled.jittered_backoff(retries=MAXIMUM_ATTEMPTS, delay=1, max_delay=20)(
                getattr(self.client(service, region, writing=True), method)
            )
            return call(**arguments)


@contextlib.contextmanager
def guarded(doing: str, account: str = "") -> Iterator[None]:
    """Turn botocore's exceptions inside the block into :class:`AwsError` sentences."""
    try:
        yield
    except (deps.botocore_exceptions.BotoCoreError, deps.botocore_exceptions.ClientError) as error:
        raise sentence(error, doing, account) from error


def _give_up_unreachable(attempts: int = 0, caught_exception: t.Any = None, **_unused: t.Any) -> None:
    """End botocore's retries after a few tries where no connection came about: raising is the only way to."""
    exceptions = deps.botocore_exceptions
    unreachable = (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError)
    if attempts >= MAXIMUM_CONNECTION_ATTEMPTS and isinstance(caught_exception, unreachable):
        raise caught_exception


def _moment(value: t.Any) -> datetime.datetime:
    """A timestamp of an answer. AWS writes ISO 8601, for which botocore's general parser takes 0.1 ms."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            moment = datetime.datetime.fromisoformat(value)
            if moment.tzinfo is not None:
                return moment
    return t.cast(datetime.datetime, deps.botocore_utils.parse_timestamp(value))


def _operation(method: str) -> str:
    """``DescribeInstances`` of ``describe_instances``: the name that IAM policies use."""
    return "".join(part.capitalize() for part in method.split("_"))


class AwsModule(AnsibleAWSModule):  # type: ignore[misc]
    """An AWS module: options of amazon.aws, ours from :data:`ARGUMENTS`, and the ``aws`` provider."""

    def __init__(self, argument_spec: Mapping[str, t.Any], **kwargs: t.Any) -> None:
        super().__init__(argument_spec={**ARGUMENTS, **argument_spec}, **kwargs)

    def provider(self) -> Aws:
        """Open the account and region that the options name.

        :raises AwsError: unknown region, no credentials, a role that cannot be assumed.
        """
        region, endpoint_url, connection = get_aws_connection_info(self)
        if not region:
            raise AwsError("No AWS region is set: set region, or AWS_REGION, or a region in the profile", "NoRegion")
        aws = Aws(
            region=region,
            endpoint_url=endpoint_url,
            connection=connection,
            role_arn=self.params["role_arn"] or "",
            external_id=self.params["external_id"] or "",
            role_session_name=self.params["role_session_name"],
            cost=ApiCost(self.params["max_api_cost"]),
        )
        aws.check_region()
        return aws
