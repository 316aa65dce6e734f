output "vpc_id" {
  description = "Id of the VPC."
  value       = module.network.vpc_id
}

output "cidr" {
  description = "IPv4 range of the network."
  value       = module.network.cidr
}

output "availability_zones" {
  description = "Names of the zones, in the order of the subnets."
  value       = module.network.availability_zones
}

output "public_subnet_ids" {
  description = "Ids of the public subnets, one for each zone."
  value       = module.network.public_subnet_ids
}

output "private_subnet_ids" {
  description = "Ids of the private subnets, one for each zone: where functions run."
  value       = module.network.private_subnet_ids
}

output "private_route_table_ids" {
  description = "Ids of the private subnets' route tables, for further endpoints."
  value       = module.network.private_route_table_ids
}

output "function_security_group_ids" {
  description = "The security group for functions that join: nothing in, HTTPS out. A list, as functions take it."
  value       = [aws_security_group.functions.id]

  # What joins may call out at once.
  depends_on = [aws_vpc_security_group_egress_rule.https]
}

output "default_security_group_id" {
  description = "Id of the group that denies all."
  value       = module.network.default_security_group_id
}

output "nat_public_ips" {
  description = "Addresses from which the private subnets reach the internet: what a partner lets in."
  value       = module.network.nat_public_ips
}

output "s3_endpoint_id" {
  description = "Id of the S3 endpoint: what a bucket policy may ask for in aws:SourceVpce."
  value       = module.network.s3_endpoint_id
}

output "flow_logs_log_group_name" {
  description = "Name of the log group with the flow logs."
  value       = module.flow_logs.log_group_name
}

output "flow_logs_key_arn" {
  description = "ARN of the key that encrypts the flow logs."
  value       = module.flow_logs_key.arn
}
