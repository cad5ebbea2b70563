# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which category of FOCUS a provider's service belongs to.

Exports in FOCUS say it themselves; Cost and Usage Reports, Google's own exports and Cost Explorer do not. Categories
and subcategories are those that FOCUS 1.2 allows (columns ``ServiceCategory`` and ``ServiceSubcategory``).
"""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class Service:
    """A service's name in bills, and where FOCUS puts it."""

    name: str
    category: str
    subcategory: str


OTHER = Service("", "Other", "Other (Other)")

#: By AWS' product code (``line_item_product_code`` of a Cost and Usage Report).
AWS: t.Mapping[str, Service] = {
    "AmazonEC2": Service("Amazon Elastic Compute Cloud", "Compute", "Virtual Machines"),
    "AmazonECS": Service("Amazon Elastic Container Service", "Compute", "Containers"),
    "AmazonEKS": Service("Amazon Elastic Kubernetes Service", "Compute", "Containers"),
    "AmazonECR": Service("Amazon Elastic Container Registry", "Compute", "Containers"),
    "AmazonLightsail": Service("Amazon Lightsail", "Compute", "Virtual Machines"),
    "AWSLambda": Service("AWS Lambda", "Compute", "Serverless Compute"),
    "AmazonWorkSpaces": Service("Amazon WorkSpaces", "Compute", "End User Computing"),
    "ComputeSavingsPlans": Service("Savings Plans for AWS Compute usage", "Compute", "Other (Compute)"),
    "AmazonS3": Service("Amazon Simple Storage Service", "Storage", "Object Storage"),
    "AmazonGlacier": Service("Amazon S3 Glacier", "Storage", "Backup Storage"),
    "AmazonEFS": Service("Amazon Elastic File System", "Storage", "File Storage"),
    "AmazonFSx": Service("Amazon FSx", "Storage", "File Storage"),
    "AWSBackup": Service("AWS Backup", "Storage", "Backup Storage"),
    "AmazonRDS": Service("Amazon Relational Database Service", "Databases", "Relational Databases"),
    "AmazonDynamoDB": Service("Amazon DynamoDB", "Databases", "NoSQL Databases"),
    "AmazonDocDB": Service("Amazon DocumentDB", "Databases", "NoSQL Databases"),
    "AmazonNeptune": Service("Amazon Neptune", "Databases", "NoSQL Databases"),
    "AmazonElastiCache": Service("Amazon ElastiCache", "Databases", "Caching"),
    "AmazonMemoryDB": Service("Amazon MemoryDB", "Databases", "Caching"),
    "AmazonRedshift": Service("Amazon Redshift", "Databases", "Data Warehouses"),
    "AmazonTimestream": Service("Amazon Timestream", "Databases", "Time Series Databases"),
    "AmazonVPC": Service("Amazon Virtual Private Cloud", "Networking", "Network Infrastructure"),
    "AWSELB": Service("Elastic Load Balancing", "Networking", "Application Networking"),
    "AmazonCloudFront": Service("Amazon CloudFront", "Networking", "Content Delivery"),
    "AmazonRoute53": Service("Amazon Route 53", "Networking", "Network Routing"),
    "AWSDirectConnect": Service("AWS Direct Connect", "Networking", "Network Connectivity"),
    "AWSDataTransfer": Service("AWS Data Transfer", "Networking", "Network Connectivity"),
    "AWSGlobalAccelerator": Service("AWS Global Accelerator", "Networking", "Network Routing"),
    "awswaf": Service("AWS WAF", "Networking", "Network Security"),
    "AWSNetworkFirewall": Service("AWS Network Firewall", "Networking", "Network Security"),
    "AmazonApiGateway": Service("Amazon API Gateway", "Integration", "API Management"),
    "AWSQueueService": Service("Amazon Simple Queue Service", "Integration", "Messaging"),
    "AmazonSNS": Service("Amazon Simple Notification Service", "Integration", "Messaging"),
    "AmazonMQ": Service("Amazon MQ", "Integration", "Messaging"),
    "AWSEvents": Service("Amazon EventBridge", "Integration", "Messaging"),
    "AmazonStates": Service("AWS Step Functions", "Integration", "Workflow Orchestration"),
    "AmazonKinesis": Service("Amazon Kinesis", "Analytics", "Streaming Analytics"),
    "AmazonKinesisFirehose": Service("Amazon Data Firehose", "Analytics", "Streaming Analytics"),
    "AmazonMSK": Service("Amazon Managed Streaming for Apache Kafka", "Analytics", "Streaming Analytics"),
    "ElasticMapReduce": Service("Amazon EMR", "Analytics", "Data Processing"),
    "AWSGlue": Service("AWS Glue", "Analytics", "Data Processing"),
    "AmazonAthena": Service("Amazon Athena", "Analytics", "Analytics Platforms"),
    "AmazonES": Service("Amazon OpenSearch Service", "Analytics", "Search"),
    "AmazonQuickSight": Service("Amazon QuickSight", "Analytics", "Business Intelligence"),
    "AmazonSageMaker": Service("Amazon SageMaker", "AI and Machine Learning", "Machine Learning"),
    "AmazonBedrock": Service("Amazon Bedrock", "AI and Machine Learning", "Generative AI"),
    "AmazonCloudWatch": Service("Amazon CloudWatch", "Management and Governance", "Observability"),
    "AWSXRay": Service("AWS X-Ray", "Management and Governance", "Observability"),
    "AWSCloudTrail": Service("AWS CloudTrail", "Management and Governance", "Compliance"),
    "AWSConfig": Service("AWS Config", "Management and Governance", "Compliance"),
    "AWSSystemsManager": Service("AWS Systems Manager", "Management and Governance", "Endpoint Management"),
    "AWSCostExplorer": Service("AWS Cost Explorer", "Management and Governance", "Cost Management"),
    "AWSSupportBusiness": Service("AWS Support (Business)", "Management and Governance", "Support"),
    "AWSSupportEnterprise": Service("AWS Support (Enterprise)", "Management and Governance", "Support"),
    "awskms": Service("AWS Key Management Service", "Security", "Secret Management"),
    "AWSSecretsManager": Service("AWS Secrets Manager", "Security", "Secret Management"),
    "AmazonGuardDuty": Service("Amazon GuardDuty", "Security", "Threat Detection and Response"),
    "AmazonInspectorV2": Service("Amazon Inspector", "Security", "Security Posture Management"),
    "AWSSecurityHub": Service("AWS Security Hub", "Security", "Security Posture Management"),
    "AmazonCognito": Service("Amazon Cognito", "Identity", "Identity and Access Management"),
    "AWSDirectoryService": Service("AWS Directory Service", "Identity", "Identity and Access Management"),
    "CodeBuild": Service("AWS CodeBuild", "Developer Tools", "Continuous Integration and Deployment"),
    "AWSCodePipeline": Service("AWS CodePipeline", "Developer Tools", "Continuous Integration and Deployment"),
    "AmazonSES": Service("Amazon Simple Email Service", "Business Applications", "Communication"),
}

#: By the name that Google's export gives (``service.description``).
GCP: t.Mapping[str, Service] = {
    one.name: one
    for one in (
        Service("Compute Engine", "Compute", "Virtual Machines"),
        Service("Kubernetes Engine", "Compute", "Containers"),
        Service("Cloud Run", "Compute", "Serverless Compute"),
        Service("Cloud Run Functions", "Compute", "Serverless Compute"),
        Service("Cloud Functions", "Compute", "Serverless Compute"),
        Service("App Engine", "Compute", "Serverless Compute"),
        Service("Cloud Storage", "Storage", "Object Storage"),
        Service("Cloud Filestore", "Storage", "File Storage"),
        Service("Backup and DR Service", "Storage", "Backup Storage"),
        Service("Cloud SQL", "Databases", "Relational Databases"),
        Service("Cloud Spanner", "Databases", "Relational Databases"),
        Service("AlloyDB", "Databases", "Relational Databases"),
        Service("Cloud Bigtable", "Databases", "NoSQL Databases"),
        Service("Cloud Firestore", "Databases", "NoSQL Databases"),
        Service("Cloud Memorystore for Redis", "Databases", "Caching"),
        Service("BigQuery", "Databases", "Data Warehouses"),
        Service("BigQuery Reservation API", "Databases", "Data Warehouses"),
        Service("BigQuery Storage API", "Databases", "Data Warehouses"),
        Service("Networking", "Networking", "Network Infrastructure"),
        Service("Cloud DNS", "Networking", "Network Routing"),
        Service("Cloud Load Balancing", "Networking", "Application Networking"),
        Service("Cloud CDN", "Networking", "Content Delivery"),
        Service("Cloud Interconnect", "Networking", "Network Connectivity"),
        Service("Cloud Pub/Sub", "Integration", "Messaging"),
        Service("Workflows", "Integration", "Workflow Orchestration"),
        Service("Apigee", "Integration", "API Management"),
        Service("Cloud Dataflow", "Analytics", "Data Processing"),
        Service("Cloud Dataproc", "Analytics", "Data Processing"),
        Service("Cloud Composer", "Integration", "Workflow Orchestration"),
        Service("Vertex AI", "AI and Machine Learning", "AI Platforms"),
        Service("Cloud Logging", "Management and Governance", "Observability"),
        Service("Cloud Monitoring", "Management and Governance", "Observability"),
        Service("Stackdriver", "Management and Governance", "Observability"),
        Service("Support", "Management and Governance", "Support"),
        Service("Cloud Key Management Service (KMS)", "Security", "Secret Management"),
        Service("Secret Manager", "Security", "Secret Management"),
        Service("Security Command Center", "Security", "Security Posture Management"),
        Service("Identity Platform", "Identity", "Identity and Access Management"),
        Service("Cloud Build", "Developer Tools", "Continuous Integration and Deployment"),
        Service("Artifact Registry", "Developer Tools", "Developer Platforms"),
    )
}

#: Names under which Cost Explorer knows AWS' services, where they differ from those in a bill.
_COST_EXPLORER = {
    "Amazon Elastic Compute Cloud - Compute": "Amazon Elastic Compute Cloud",
    "EC2 - Other": "Amazon Elastic Compute Cloud",
    "Amazon Elastic Load Balancing": "Elastic Load Balancing",
    "AmazonCloudWatch": "Amazon CloudWatch",
    "Amazon Elastic Container Service for Kubernetes": "Amazon Elastic Kubernetes Service",
    "AWS Support": "AWS Support (Business)",
}
_BY_NAME: t.Mapping[str, Service] = {one.name: one for one in (*AWS.values(), *GCP.values())}


def by_name(name: str) -> Service:
    """The category of a service that a bill or Cost Explorer calls ``name``; ``Other`` where it is not known."""
    found = _BY_NAME.get(_COST_EXPLORER.get(name, name))
    return Service(name, found.category, found.subcategory) if found else dataclasses.replace(OTHER, name=name)
