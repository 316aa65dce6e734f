# VPCs. Their ids are not chosen: what is made must carry the environment's tags, and only what
# carries them is changed.
locals {
  ec2_makes = [
    "ec2:AllocateAddress", "ec2:AuthorizeSecurityGroupEgress", "ec2:AuthorizeSecurityGroupIngress", "ec2:CreateEgressOnlyInternetGateway", "ec2:CreateFlowLogs", "ec2:CreateInternetGateway",
    "ec2:CreateNatGateway", "ec2:CreateRouteTable", "ec2:CreateSecurityGroup", "ec2:CreateSubnet", "ec2:CreateVpc", "ec2:CreateVpcEndpoint",
  ]

  network_permissions = { for environment in keys(var.environments) : environment => [
    {
      # Describing can't be narrowed.
      sid = "Describe"
      read = [
        "ec2:DescribeAddresses", "ec2:DescribeAddressesAttribute", "ec2:DescribeAvailabilityZones", "ec2:DescribeEgressOnlyInternetGateways", "ec2:DescribeFlowLogs", "ec2:DescribeInternetGateways",
        "ec2:DescribeNatGateways", "ec2:DescribeNetworkAcls", "ec2:DescribeNetworkInterfaces", "ec2:DescribePrefixLists", "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroupRules", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeTags", "ec2:DescribeVpcAttribute",
        "ec2:DescribeVpcEndpoints", "ec2:DescribeVpcs",
      ]
      resources = ["*"]
    },
    {
      sid       = "MakeTagged"
      write     = local.ec2_makes
      resources = ["${local.arns.ec2}:*"]
      condition = { StringEquals = local.new_tags[environment] }
    },
    {
      # A subnet is made in a VPC: the VPC must be the environment's too.
      sid = "WithinOwn"
      write = concat(local.ec2_makes, [
        "ec2:AssociateRouteTable", "ec2:AssociateSubnetCidrBlock", "ec2:AssociateVpcCidrBlock", "ec2:AttachInternetGateway", "ec2:DeleteEgressOnlyInternetGateway", "ec2:CreateRoute", "ec2:DeleteFlowLogs", "ec2:DeleteInternetGateway", "ec2:DeleteNatGateway",
        "ec2:DeleteNetworkInterface", "ec2:DeleteRoute", "ec2:DeleteRouteTable", "ec2:DeleteSecurityGroup", "ec2:DeleteSubnet", "ec2:DeleteTags", "ec2:DeleteVpc",
        "ec2:DeleteVpcEndpoints", "ec2:DetachInternetGateway", "ec2:DisassociateAddress", "ec2:DisassociateRouteTable", "ec2:DisassociateSubnetCidrBlock", "ec2:DisassociateVpcCidrBlock", "ec2:ModifySecurityGroupRules", "ec2:ModifySubnetAttribute",
        "ec2:ModifyVpcAttribute", "ec2:ModifyVpcEndpoint", "ec2:ReleaseAddress", "ec2:ReplaceRoute", "ec2:ReplaceRouteTableAssociation",
        "ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress", "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
      ])
      resources = ["${local.arns.ec2}:*"]
      condition = { StringEquals = local.own_tags[environment] }
    },
    {
      # Lambda's interfaces carry no tags, and stay for up to 45 minutes after their function: nobody can delete a subnet or a
      # security group before. EC2 deletes none that is in use, and takes none off while Lambda uses it.
      # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
      sid       = "LambdaInterfaces"
      write     = ["ec2:DeleteNetworkInterface", "ec2:DetachNetworkInterface"]
      resources = ["${local.arns.ec2}:network-interface/*"]
      condition = { Null = local.untagged }
    },
    {
      # A VPC brings a default security group without tags, which is emptied and tagged.
      sid       = "EmptyDefaultGroup"
      write     = ["ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress"]
      resources = ["${local.arns.ec2}:security-group/*"]
      condition = { Null = { "aws:ResourceTag/Project" = "true" } }
    },
    {
      # Tags are given to what has none: what is made, and the security group that comes with a VPC.
      sid       = "Tag"
      write     = ["ec2:CreateTags"]
      resources = ["${local.arns.ec2}:*"]
      condition = { StringEquals = local.new_tags[environment], Null = local.untagged }
    },
    {
      sid       = "RetagOwn"
      write     = ["ec2:CreateTags"]
      resources = ["${local.arns.ec2}:*"]
      condition = { StringEquals = local.own_tags[environment], StringEqualsIfExists = local.new_tags[environment] }
    },
  ] }
}
