"""What it takes to pull an image from Amazon ECR."""

from components.aws.common.names import partition
from isthmus.contracts.platform.rules.aws.fargate import ECR
from isthmus.core.errors import InputError

PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
"""On a repository; `ecr:GetAuthorizationToken`, which knows no resource, comes beside it."""


def repository(image: str, where: str) -> str:
    """ARN of the repository of an image in Amazon ECR; `InputError` for an image from elsewhere."""
    found = ECR.match(image)
    if found is None:
        raise InputError(
            f"'{image}' is not in Amazon ECR by digest, and what runs it has no way to anything else",
            where=where,
            fix="Mirror it to ACCOUNT.dkr.ecr.REGION.amazonaws.com, by digest",
        )
    account, region, path = found.groups()
    return f"arn:{partition(region)}:ecr:{region}:{account}:repository/{path}"
