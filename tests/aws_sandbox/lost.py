"""Which types cannot be told apart when the answer to their making was lost, shown in the documentation too."""

from __future__ import annotations

TWICE = {
    "aws:budgets/budgetAction:BudgetAction",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor",
    "aws:costexplorer/anomalySubscription:AnomalySubscription",
    "aws:directconnect/gateway:Gateway",
    "aws:ec2/customerGateway:CustomerGateway",
    "aws:ec2/internetGateway:InternetGateway",
    "aws:ec2/vpc:Vpc",
    "aws:ec2/vpnConnection:VpnConnection",
    "aws:ec2transitgateway/routeTable:RouteTable",
    "aws:ec2transitgateway/transitGateway:TransitGateway",
    "aws:ecs/taskDefinition:TaskDefinition",
    "aws:kms/key:Key",
    "aws:lb/listener:Listener",
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:rolesanywhere/profile:Profile",
    "aws:rolesanywhere/trustAnchor:TrustAnchor",
    "aws:route53/zone:Zone",
}
"""Types of which AWS makes a second one: they have no idempotency token, and nothing that only one may have."""

UNTOLD = {
    "aws:bedrock/guardrailVersion:GuardrailVersion",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:ec2/flowLog:FlowLog",
    "aws:ec2/routeTable:RouteTable",
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    "aws:ec2/vpcEndpointService:VpcEndpointService",
    "aws:efs/accessPoint:AccessPoint",
    "aws:route53/resolverEndpoint:ResolverEndpoint",
    "aws:route53/resolverFirewallDomainList:ResolverFirewallDomainList",
    "aws:route53/resolverFirewallRuleGroup:ResolverFirewallRuleGroup",
    "aws:route53/resolverQueryLogConfig:ResolverQueryLogConfig",
    "aws:route53/resolverRule:ResolverRule",
    "aws:secretsmanager/secretVersion:SecretVersion",
    "aws:sns/topicSubscription:TopicSubscription",
}
"""Types of which AWS makes one only for one token; where no try is answered, nothing tells which it is."""
