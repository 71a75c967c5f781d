"""What AWS's own IAM policies allow, as far as rules rely on it. Data only.

Read on 2026-11-30 from the documents that github.com/zoph-io/MAMIP recorded until 2026-03-07 (`get-policy-version`),
version by version. AWS can extend a policy at any time, so these sets say what a policy allowed when it was read.
"""

from __future__ import annotations

READ_NO_DATA = frozenset(
    {
        *("SecurityAudit", "ViewOnlyAccess", "AWS_ConfigRole", "AWSBackupServiceRolePolicyForBackup"),
        *("AWSLambdaBasicExecutionRole", "AWSLambdaVPCAccessExecutionRole", "AmazonEKSClusterPolicy"),
        *("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"),
        *("AmazonEC2ContainerRegistryReadOnly", "AmazonECSTaskExecutionRolePolicy"),
        "CloudWatchAgentServerPolicy",
    }
)
"""Names of policies that read settings only, or serve one service whose resources are judged. Others may read data."""
NO_THREAT_TO_TRAILS = {
    "SecurityAudit": "v85",
    "ViewOnlyAccess": "v43",
    "AWSBackupServiceRolePolicyForBackup": "v30",
    "AWSLambdaBasicExecutionRole": "v1",
    "AWSLambdaVPCAccessExecutionRole": "v3",
    "AmazonEKSClusterPolicy": "v10",
    "AmazonEKSWorkerNodePolicy": "v3",
    "AmazonEKS_CNI_Policy": "v6",
    "AmazonEC2ContainerRegistryPullOnly": "v1",
    "AmazonEC2ContainerRegistryReadOnly": "v3",
    "AmazonECSTaskExecutionRolePolicy": "v1",
}
"""Name of a policy → the version that allowed no action of `permissions.TRAIL_THREATS`.

AWS Backup's passes roles to GuardDuty's malware scan alone, and grants use of keys to AWS's resources alone; neither
stops a trail. Not among them: `AWS_ConfigRole` (`config:Put*`), `CloudWatchAgentServerPolicy`
(`logs:PutRetentionPolicy`).
"""
