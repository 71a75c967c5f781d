"""Checks whether the service-linked role exists that the key policy of an EKS cluster names.

KMS refuses a key policy that names a missing principal (`MalformedPolicyDocumentException`). AWS creates the role
AWSServiceRoleForAutoScaling with the first Auto Scaling group of an account, but the key is created before that group.
The stack does not create the role: an account has one for all stacks, and creating it a second time fails
("Service-linked roles for Amazon EC2 Auto Scaling", EC2 Auto Scaling user guide).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.core import aws_session
from isthmus.core.errors import EnvironmentFault
from stacks.aws_account.model_access import account_session

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform, Site

AUTO_SCALING_ROLE = "AWSServiceRoleForAutoScaling"
CREATE_COMMAND = "aws iam create-service-linked-role --aws-service-name autoscaling.amazonaws.com"


def check_service_roles(site: Site, platform: Platform) -> list[str]:
    """Raise `EnvironmentFault` if the account of an AWS site lacks a role that its cluster's key will name.

    Returns a warning if the deployer may not read roles (`iam:GetRole`). Makes no request if no cluster is created or
    its key already exists.
    """
    clusters = [
        cluster for cluster in platform.clusters if cluster.site == site.name and cluster.mode == "manage"
    ]
    if not any(cluster.kms_key is None for cluster in clusters):
        return []
    from botocore.exceptions import BotoCoreError, ClientError

    account = f"the account of {site.name}"
    try:
        session = account_session(site, sandbox=False, why=f"whether the role {AUTO_SCALING_ROLE} exists")
        aws_session.client(session, "iam").get_role(RoleName=AUTO_SCALING_ROLE)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "NoSuchEntity":
            raise EnvironmentFault(
                f"{account} has no role {AUTO_SCALING_ROLE}, and the key of its EKS cluster names that role",
                where=f"sites[{site.name}]",
                fix=f"Create it once with `{CREATE_COMMAND}`, then run the same command again",
            ) from None
        if code.startswith("AccessDenied"):
            warning = (
                f"{account} does not let the deployer see the role {AUTO_SCALING_ROLE} (iam:GetRole). If it "
                "does not exist, "
                f"the key of the EKS cluster is refused; `{CREATE_COMMAND}` creates it"
            )
            return [warning]
        reason = " ".join(str(error).split())
    except BotoCoreError as error:
        reason = " ".join(str(error).split())
    else:
        return []
    raise EnvironmentFault(
        f"{account} does not tell whether the role {AUTO_SCALING_ROLE} exists: {reason}",
        where=f"sites[{site.name}]",
        fix="Check credentials and network, then run the same command again",
    )
