"""The permissions that pulling an image from Amazon ECR needs."""

from components.aws.common.names import partition
from isthmus.contracts.platform.rules.aws.fargate import ECR_IMAGE
from isthmus.core.errors import InputError

PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
"""Actions on a repository. `ecr:GetAuthorizationToken` has no resource and is a separate statement."""


def repository_arn(image: str, where: str) -> str:
    """ARN of an image's repository in Amazon ECR. Raises `InputError` for an image from another registry."""
    match = ECR_IMAGE.match(image)
    if match is None:
        raise InputError(
            f"'{image}' is not in Amazon ECR by digest, and no other registry can be reached from there",
            where=where,
            fix="Mirror it to ACCOUNT.dkr.ecr.REGION.amazonaws.com, by digest",
        )
    account, region, path = match.groups()
    return f"arn:{partition(region)}:ecr:{region}:{account}:repository/{path}"
