output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "cidr" {
  description = "IPv4 range of the network."
  value       = aws_vpc.this.cidr_block
}

output "availability_zones" {
  description = "Names of the zones, in the order of the subnets."
  value       = [for letter in var.zones : aws_subnet.private[letter].availability_zone]
}

output "public_subnet_ids" {
  description = "Ids of the public subnets, one for each zone."
  value       = [for letter in var.zones : aws_subnet.public[letter].id]
}

output "private_subnet_ids" {
  description = "Ids of the private subnets, one for each zone: where functions run."
  value       = [for letter in var.zones : aws_subnet.private[letter].id]

  # What starts in a private subnet may need the way out at once.
  depends_on = [aws_route.private_nat, aws_route.private_ipv6, aws_route_table_association.private, aws_vpc_endpoint.s3, aws_vpc_endpoint.dynamodb, aws_vpc_endpoint.interface]
}

output "private_route_table_ids" {
  description = "Ids of the private subnets' route tables, for further endpoints."
  value       = [for letter in var.zones : aws_route_table.private[letter].id]
}

output "nat_public_ips" {
  description = "Addresses from which the private subnets reach the internet: what a partner lets in."
  value       = [for letter in local.nat_zones : aws_eip.nat[letter].public_ip]
}

output "s3_endpoint_id" {
  description = "Id of the S3 endpoint: what a bucket policy may ask for in aws:SourceVpce."
  value       = aws_vpc_endpoint.s3.id
}

output "dynamodb_endpoint_id" {
  description = "Id of the DynamoDB endpoint: what a policy may ask for in aws:SourceVpce."
  value       = aws_vpc_endpoint.dynamodb.id
}

output "interface_endpoint_ids" {
  description = "Id of each interface endpoint, by its service."
  value       = { for service, endpoint in aws_vpc_endpoint.interface : service => endpoint.id }
}

output "ipv6_cidr" {
  description = "IPv6 range that Amazon gave the network; null without one."
  value       = var.ipv6 ? aws_vpc.this.ipv6_cidr_block : null
}

output "nat_gateway_ids" {
  description = "Ids of the NAT gateways, by zone: the dimension NatGatewayId of their metrics, which monitoring takes."
  value       = { for letter, gateway in aws_nat_gateway.this : letter => gateway.id }
}

output "default_security_group_id" {
  description = "Id of the group that denies all."
  value       = aws_default_security_group.this.id
}
